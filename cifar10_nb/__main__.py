"`python -m cifar10_nb`: see nbs/07_commands.ipynb."
from cifar10_nb.commands import main

if __name__ == "__main__": main()
