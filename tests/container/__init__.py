"""The container and the packages, made without a container engine."""
