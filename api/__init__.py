"""HTTP and nothing else: who asks, what is asked, what is answered."""
