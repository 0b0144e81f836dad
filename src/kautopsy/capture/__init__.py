"""What kdump leaves on a machine: find it, verify it, bring it home."""
