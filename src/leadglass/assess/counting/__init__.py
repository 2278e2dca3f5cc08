"""How much a stranger could take, without taking it: distinct counts under keys that are thrown away."""
