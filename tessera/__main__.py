"""`python -m tessera`: the command, where it is not on the path."""

from tessera.cli import main

if __name__ == "__main__":
    main()
