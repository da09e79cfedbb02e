"""Makes the golden file of this version: python make.py. Files of released versions are never made again."""

import json

import numpy as np

import badak as bd

net = bd.Net(
    [
        bd.Convolution(filters=2, size=3, pad=1),
        bd.BatchNormalization(axis="channel"),
        bd.Relu(),
        bd.Pooling(2, 2),
        bd.Residual([bd.Convolution(filters=2, size=3, pad=1), bd.Tanh()]),
        bd.Dropout(0.25),
        bd.Affine(units=3, init="xavier"),
    ],
    loss=bd.SoftmaxWithLoss(),
    input_shape=(1, 4, 4),
    seed=7,
)
x = np.linspace(-1, 1, 96).reshape(6, 1, 4, 4)
net.fit(x, np.arange(6) % 3, epochs=5, batch_size=4, optimizer=bd.Adam(lr=0.01), progress=False)
net.save("net-1.safetensors")
with open("net-1.json", "w") as file:
    json.dump({"predictions": net.predict(x).tolist(), "updates": net.optimizer.iter}, file)
