"""What the public API says and hears: Flipturn's names in camel case, and no other module knows them."""
