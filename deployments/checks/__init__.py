"""What the doctor looks at, a module a subject. None imports torch or prefect; what needs them asks a child process."""
