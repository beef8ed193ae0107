"""Other clients that run one command on many hosts, each written as its manual says is best."""
