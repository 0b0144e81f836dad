"""One module per way to die. Each declares what it needs and yields Findings; none prints."""
