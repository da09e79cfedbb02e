"""Convolution with a bias of 0, pooling, im2col, labels (1, 1), weights saved beside the script and loaded."""
# ruff: noqa: F403, F405

import os
import pickle
import sys

sys.path.append(os.pardir)
import numpy as np
from common.layers import *
from common.util import conv_output_size

np.random.seed(5)
image = np.random.rand(1, 1, 10, 10)
W = np.random.randn(2, 1, 3, 3)
edges = Convolution(W, 0).forward(image)
same = im2col(image, 3, 3).dot(W.reshape(2, -1).T).T.reshape(edges.shape)
print("shapes", edges.shape, int(conv_output_size(10, 3)), np.allclose(edges, same))

with open(os.path.join(os.path.dirname(__file__), sys.argv[1]), "wb") as file:
    pickle.dump({"W": 2 * W, "b": np.zeros(2)}, file)
layer = Convolution(W, np.zeros(2), stride=1, pad=1)
with open(sys.argv[1], "rb") as file:
    loaded = pickle.load(file)
layer.W, layer.b = loaded["W"], loaded["b"]
relu, pool, drop = Relu(), Pooling(2, 2, stride=2), Dropout(0.5)
affine, last = Affine(0.1 * np.random.randn(50, 3), np.zeros(3)), SoftmaxWithLoss()
scores = affine.forward(drop.forward(pool.forward(relu.forward(layer.forward(image))), train_flg=False))
print("loss", last.forward(scores, np.array([[1]])))
layer.backward(relu.backward(pool.backward(affine.backward(last.backward()))))
print("gradient", layer.dW.shape, layer.W is loaded["W"], np.isfinite(layer.dW).all())

half = image.astype(np.float16)
for array in loaded.values():
    array[...] = array.astype(np.float16)
print("half", np.allclose(layer.forward(half), layer.forward(image), atol=0.02))
