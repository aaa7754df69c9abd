"""One folder for each kind of store. They know neither the engine nor each other."""
