"""Wire structs: what clients send and receive, one module per resource."""
