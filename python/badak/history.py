"""``History``: what a ``fit`` saw."""


class History:
    """What a ``fit`` saw, an entry per epoch.

    Attributes
    ----------
    epoch : list of int
        Counted from 1.
    loss, accuracy : list of float
        Means over the epoch's samples, each as it was when it was trained on. Accuracy stays empty without classes.
    val_loss, val_accuracy : list of float
        On the validation data after the epoch; empty without. With weight decay both losses include the penalty.
    lr : list of float
        The learning rate of the epoch's last step.
    step_loss : list of float
        The loss of every batch.
    """

    def __init__(self):
        self.epoch = []
        self.loss = []
        self.accuracy = []
        self.val_loss = []
        self.val_accuracy = []
        self.lr = []
        self.step_loss = []

    def plot(self, axes=None):
        """Draw loss and accuracy over the epochs. Needs matplotlib.

        Parameters
        ----------
        axes : matplotlib Axes, or two of them, or None
            Where to draw; None: a new figure. On one, only the loss is drawn.

        Returns
        -------
        matplotlib Axes
            One, or two where there is accuracy.
        """
        from ._draw import history

        return history(self, axes)

    def __repr__(self):
        if not self.epoch:
            return "History(no epoch finished)"
        last = [
            f"{name} {values[-1]:.4f}"
            for name in ("loss", "accuracy", "val_loss", "val_accuracy")
            if (values := getattr(self, name))
        ]
        return f"History({self.epoch[-1]} epochs: {', '.join(last)})"
