"""What stock wheels lack: mmcv's compiled ops, torchvision beside CPU torch, safe checkpoints."""
