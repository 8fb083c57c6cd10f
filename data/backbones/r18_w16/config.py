config = 'pocket/gfl_r18_w16'
count = 12000
epochs = 10
lr = 0.1
