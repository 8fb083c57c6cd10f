config = 'other_backbones/retinanet_mv2'
count = 12000
epochs = 10
lr = 0.1
