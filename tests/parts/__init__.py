"""What tests share: real servers and clients, invented people, the service itself."""
