"""`python -m weightgen`, and `accelerate launch -m weightgen`."""

from weightgen.cli import main

if __name__ == "__main__":
    main()
