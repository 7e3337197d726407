"""What the public API sends and receives: Flipturn's names in camel case, and no other module knows them."""
