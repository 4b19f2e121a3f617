"""`python -m wsi_parse` is the command wsi-parse."""

from wsi_parse.cli.main import main

if __name__ == "__main__":
    main()
