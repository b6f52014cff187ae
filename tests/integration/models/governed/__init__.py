"""What a governor says of the calls of its clients: transports, lengths of answers, observing."""
