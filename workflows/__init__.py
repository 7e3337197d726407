"""The durable workflows and their messages; they import nothing of Berth's but each other."""
