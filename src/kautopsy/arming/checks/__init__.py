"""What is asked of a machine: a module a subject, a function a question."""
