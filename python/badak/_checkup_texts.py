"""What ``Net.checkup`` says, by finding: (English, Korean). {} are numbers and names."""

import re


def in_korean(place):
    """The Korean of "layer 1 (Affine) of layer 2 (Residual)": the outer layer first."""
    return "의 ".join(re.sub(r"^layer (\d+)", r"\1번째 계층", part) for part in reversed(place.split(" of ")))


TEXTS = {
    "input": (
        "The input lies between {low:.3g} and {high:.3g}.",
        "입력은 {low:.3g}에서 {high:.3g} 사이입니다.",
    ),
    "input_255": (
        "The input goes up to {high:.3g}, like bytes of images: divide it by 255.",
        "입력이 이미지 바이트처럼 {high:.3g}까지 갑니다: 255로 나누십시오.",
    ),
    "input_large": (
        "The input has a standard deviation of {std:.3g}: bring it near 1, by x = (x - mean) / std.",
        "입력의 표준편차가 {std:.3g}입니다: x = (x - mean) / std로 1에 가깝게 하십시오.",
    ),
    "input_constant": (
        "All samples are the same: there is nothing to learn from.",
        "모든 표본이 같습니다: 배울 것이 없습니다.",
    ),
    "input_fixed": (
        "{count} of {total} numbers of a sample never change: they tell nothing, but do no harm.",
        "표본의 수 {total}개 가운데 {count}개는 변하지 않습니다: 아무것도 알려 주지 않지만 해롭지는 않습니다.",
    ),
    "input_not_finite": (
        "The input holds NaN or infinity: nothing can be learned from it.",
        "입력에 NaN이나 무한대가 있습니다: 아무것도 배울 수 없습니다.",
    ),
    "labels": (
        "{classes} classes, from {fewest} to {most} samples each.",
        "클래스 {classes}개, 클래스마다 표본 {fewest}~{most}개입니다.",
    ),
    "labels_missing": (
        "{missing} of {classes} classes do not occur in the labels.",
        "클래스 {classes}개 가운데 {missing}개가 레이블에 나오지 않습니다.",
    ),
    "labels_single": (
        "All samples have the same label: the net need not look at them.",
        "모든 표본의 레이블이 같습니다: 신경망이 표본을 볼 필요가 없습니다.",
    ),
    "targets_not_finite": (
        "The targets hold NaN or infinity: nothing can be learned from them.",
        "목푯값에 NaN이나 무한대가 있습니다: 아무것도 배울 수 없습니다.",
    ),
    "targets_constant": (
        "All targets are the same: the net need not look at the samples.",
        "모든 목푯값이 같습니다: 신경망이 표본을 볼 필요가 없습니다.",
    ),
    "targets_large": (
        "The targets have a standard deviation of {std:.3g}: bring it near 1, by t = (t - mean) / std.",
        "목푯값의 표준편차가 {std:.3g}입니다: t = (t - mean) / std로 1에 가깝게 하십시오.",
    ),
    "parameters_not_finite": (
        "{names} holds NaN or infinity: make the net anew, or load it from before that.",
        "{names}에 NaN이나 무한대가 있습니다: 신경망을 새로 만들거나 그 전에 저장한 것을 불러오십시오.",
    ),
    "first_loss": (
        "The loss before training is {loss:.4g}; guessing gives {guess:.4g}.",
        "학습 전 손실은 {loss:.4g}입니다. 짐작만 하면 {guess:.4g}입니다.",
    ),
    "first_loss_high": (
        "The loss before training is {loss:.4g}, but guessing gives {guess:.4g}: the first weights are too "
        "large, or the input is.",
        "학습 전 손실이 {loss:.4g}인데 짐작만 해도 {guess:.4g}입니다: 가중치 초깃값이나 입력이 너무 큽니다.",
    ),
    "loss_now": (
        "The loss is {loss:.4g} after {updates} updates; guessing gives {guess:.4g}.",
        "{updates}번 갱신한 지금 손실은 {loss:.4g}입니다. 짐작만 하면 {guess:.4g}입니다.",
    ),
    "loss_worse": (
        "After {updates} updates the loss is {loss:.4g}, worse than the {guess:.4g} of guessing.",
        "{updates}번 갱신했는데 손실이 {loss:.4g}(으)로, 짐작만 한 {guess:.4g}보다 나쁩니다.",
    ),
    "loss_not_finite": (
        "The loss is {loss}: nothing can be learned until it is a number.",
        "손실이 {loss}입니다: 수가 될 때까지는 아무것도 배울 수 없습니다.",
    ),
    "alive": (
        "{place}: {share:.0%} of its units are silent for every sample.",
        "{place}: 유닛의 {share:.0%}가 모든 표본에 침묵합니다.",
    ),
    "dead": (
        "{place}: {share:.0%} of its units are 0 for every sample and can never learn: use a smaller "
        'learning rate, init="he", or LeakyRelu.',
        '{place}: 유닛의 {share:.0%}가 모든 표본에서 0이어서 배울 수 없습니다: 학습률을 줄이거나 init="he"나 '
        "LeakyRelu를 쓰십시오.",
    ),
    "saturated": (
        "{place}: {share:.0%} of its outputs are at an end of its range, where the slope is 0: use "
        'init="xavier", a smaller input, or batch normalization before it.',
        '{place}: 출력의 {share:.0%}가 기울기가 0인 끝에 몰려 있습니다: init="xavier"나 더 작은 입력, 또는 '
        "앞에 배치 정규화를 쓰십시오.",
    ),
    "constant": (
        "{place} gives the same for every sample: what comes after it cannot tell them apart.",
        "{place}의 출력이 모든 표본에서 같습니다: 뒤의 계층이 표본을 구별할 수 없습니다.",
    ),
    "gradient": (
        "The gradients of all layers are between {low:.2g} and {high:.2g} of their weights' size.",
        "모든 계층의 기울기가 가중치 크기의 {low:.2g}에서 {high:.2g} 사이입니다.",
    ),
    "gradient_zero": (
        "{place}: its gradient is 0: it does not learn at all.",
        "{place}: 기울기가 0입니다: 전혀 배우지 못합니다.",
    ),
    "gradient_vanishes": (
        "The gradient of {place} is only {ratio:.1g} of that of {last}: it vanishes on the way back. Use "
        "Relu, batch normalization or Residual.",
        "{place}의 기울기가 {last}의 {ratio:.1g}배뿐입니다: 돌아오는 길에 사라집니다. Relu나 배치 정규화, "
        "Residual을 쓰십시오.",
    ),
    "gradient_not_finite": (
        "{place}: its gradient is not finite.",
        "{place}: 기울기가 유한하지 않습니다.",
    ),
    "rate": (
        "A step with {optimizer} changes the weights by {change:.1g} of their size.",
        "{optimizer}의 한 걸음이 가중치를 그 크기의 {change:.1g}만큼 바꿉니다.",
    ),
    "rate_high": (
        "A step with {optimizer} changes the weights of {place} by {change:.2g} of their size: the learning "
        "rate is too large; good is about 0.001.",
        "{optimizer}의 한 걸음이 {place}의 가중치를 그 크기의 {change:.2g}만큼 바꿉니다: 학습률이 너무 "
        "큽니다. 0.001쯤이 좋습니다.",
    ),
    "rate_low": (
        "A step with {optimizer} changes the weights by {change:.1g} of their size at most: the learning "
        "rate is small; good is about 0.001.",
        "{optimizer}의 한 걸음이 가중치를 많아야 그 크기의 {change:.1g}만큼 바꿉니다: 학습률이 작습니다. "
        "0.001쯤이 좋습니다.",
    ),
    "rate_not_finite": (
        "One step with {optimizer} ends in infinity: use a much smaller learning rate.",
        "{optimizer}의 한 걸음이 무한대로 끝납니다: 학습률을 훨씬 줄이십시오.",
    ),
    "overfit": (
        "It can learn {count} samples by heart: loss {before:.3g} to {after:.3g} in {steps} steps.",
        "표본 {count}개를 외울 수 있습니다: {steps}걸음에 손실이 {before:.3g}에서 {after:.3g}(으)로 바뀌었습니다.",
    ),
    "overfit_not": (
        "It could not learn even {count} samples by heart: loss {before:.3g} to {after:.3g} in {steps} "
        "steps. Is it large enough? Do x and t belong together?",
        "표본 {count}개조차 외우지 못했습니다: {steps}걸음에 손실이 {before:.3g}에서 {after:.3g}(으)로 "
        "바뀌었을 뿐입니다. 신경망이 충분히 큽니까? x와 t의 짝이 맞습니까?",
    ),
    "healthy": (
        "HEALTHY",
        "건강합니다",
    ),
    "look": (
        "LOOK AT THIS",
        "살펴보십시오",
    ),
}
