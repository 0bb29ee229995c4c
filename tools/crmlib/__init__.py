"""What tools/crm runs: one module per command or small group. Python 3.11's standard library only."""
