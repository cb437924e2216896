"""What planners take instead of `people`: each feed turns one PersonArray into one message."""
