"""How the bundled face detector is made: data, network, training, export and evaluation."""
