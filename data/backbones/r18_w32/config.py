config = 'pocket/gfl_r18_w32'
count = 12000
epochs = 10
lr = 0.1
