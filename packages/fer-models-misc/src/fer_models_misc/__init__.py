"""Ada-DF, LNSU-Net, MFER, GSDNet and timm backbones for fer."""
