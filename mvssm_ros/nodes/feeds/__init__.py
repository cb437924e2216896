"""What planners take instead of `people`: each feed turns one PersonArray into one message.

NOT SAFETY-RATED: nothing here may be the only thing between a machine and a person.
"""
