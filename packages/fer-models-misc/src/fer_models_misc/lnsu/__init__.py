"""LNSU-Net, also known as MEK: re-balanced attention consistency and re-balanced smooth labels."""
