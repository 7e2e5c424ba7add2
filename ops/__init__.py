"""What an operator touches: the control panel, the commands, and the stack that runs it all."""
