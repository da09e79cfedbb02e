"""The language of what badak says: English or Korean. One table holds every text of reports and diagnoses."""

__all__ = ["get_language", "set_language"]

_language = "en"


def set_language(name):
    """Say everything in this language from now on: ``"en"`` or ``"ko"``.

    Reports are put into words when they are printed, so that the language may be changed afterwards.
    """
    global _language
    if name not in ("en", "ko"):
        raise ValueError(f"there is no language {name!r}: expected 'en' or 'ko'")
    _language = name


def get_language():
    """The language in use, ``"en"`` or ``"ko"``."""
    return _language


class Text:
    """A sentence with its numbers, put into words when it is read."""

    def __init__(self, key, **values):
        if key not in TEXTS:
            raise KeyError(f"there is no text {key!r}")
        self.key = key
        self.values = values

    def __str__(self):
        english, korean = TEXTS[self.key]
        return (korean if _language == "ko" else english).format(**self.values)

    def __contains__(self, part):
        return part in str(self)

    def __eq__(self, other):
        return str(self) == str(other)

    __hash__ = None

    def __add__(self, other):
        return Texts([self, other])

    def __repr__(self):
        return repr(str(self))


class Texts(Text):
    """Several sentences, one after the other."""

    def __init__(self, parts):
        self.parts = [part for part in parts if str(part)]

    def __str__(self):
        return " ".join(map(str, self.parts))


def say(key, **values):
    """The text `key` in the language in use now."""
    return str(Text(key, **values))


# key: (English, Korean)
TEXTS = {
    # -- what a status means ------------------------------------------------------------------
    "SHAPE": (
        "the gradient has another shape than what it is the gradient of",
        "기울기의 형상이 미분 대상의 형상과 다릅니다",
    ),
    "DTYPE": (
        "the gradient has another dtype than what it is the gradient of",
        "기울기의 dtype이 미분 대상의 dtype과 다릅니다",
    ),
    "NONFINITE": (
        "the gradient, or the function itself, is NaN or infinite",
        "기울기나 함수값이 NaN 또는 무한대입니다",
    ),
    "FAIL": (
        "analytic and numerical gradient differ by more than their errors",
        "해석적 기울기와 수치 기울기의 차이가 오차보다 큽니다",
    ),
    "DISCONTINUOUS": (
        "the function jumps here: it has no gradient",
        "함수가 이 점에서 불연속이어서 기울기가 없습니다",
    ),
    "UNRESOLVED": (
        "the numerical gradient is too uncertain to judge",
        "수치 기울기가 너무 불확실하여 판정할 수 없습니다",
    ),
    "VACUOUS": (
        "both gradients are zero everywhere: nothing was shown",
        "두 기울기가 모두 0이어서 아무것도 확인되지 않았습니다",
    ),
    "EXPLAINED": (
        "the whole difference follows from a known, harmless cause",
        "차이 전체가 알려진 무해한 원인에서 나옵니다",
    ),
    "KINK": (
        "not differentiable here, and the analytic value lies between the one-sided slopes",
        "이 점에서 미분할 수 없지만, 해석적 값이 좌우 기울기 사이에 있습니다",
    ),
    "PASS": (
        "analytic and numerical gradient agree within their errors",
        "해석적 기울기와 수치 기울기가 오차 안에서 일치합니다",
    ),
    # -- form ---------------------------------------------------------------------------------
    "no gradient": (
        "there is no gradient (None): does backward set it?",
        "기울기가 없습니다(None). backward가 값을 설정합니까?",
    ),
    "wrong shape": (
        "the gradient has shape {found}, expected {expected}{hint}",
        "기울기의 형상이 {found}인데 {expected}이어야 합니다{hint}",
    ),
    "hint transposed": (" (is it transposed?)", " (전치된 것이 아닙니까?)"),
    "hint not summed": (
        " (was a broadcast argument's gradient not summed over the axes it was repeated along?)",
        " (브로드캐스트된 인수의 기울기를 반복된 축으로 합하지 않았습니까?)",
    ),
    "hint summed": (" (was it summed over an axis too many?)", " (축 하나를 더 합하지 않았습니까?)"),
    "wrong dtype": (
        "the gradient has dtype {found}, expected {expected}",
        "기울기의 dtype이 {found}인데 {expected}이어야 합니다",
    ),
    "not finite": ("the gradient is {value} at {index}", "기울기가 {index}에서 {value}입니다"),
    "not a number": (
        "the gradient is not an array of numbers but {found}",
        "기울기가 수의 배열이 아니라 {found}입니다",
    ),
    "output not finite": (
        "the output of the function is not finite here",
        "이 점에서 함수의 출력이 유한하지 않습니다",
    ),
    # -- diagnosis ----------------------------------------------------------------------------
    "share": ("{wrong} of {checked} elements differ", "원소 {checked}개 중 {wrong}개가 다릅니다"),
    "ratio": (
        "{share}, all by the same factor: the analytic gradient is {ratio} times the numerical one.",
        "{share}. 모두 같은 비율입니다: 해석적 기울기가 수치 기울기의 {ratio}배입니다.",
    ),
    "sign": (
        "{share}, all by their sign: the analytic gradient is -1 times the numerical one. "
        "Look for a minus sign lost or put twice.",
        "{share}. 모두 부호가 반대입니다: 해석적 기울기가 수치 기울기의 -1배입니다. 빠지거나 두 번 쓴 음의 부호를 찾아보세요.",
    ),
    "ratio 2": (
        "Look for a term added twice, or the 2 of a square differentiated (or not).",
        "두 번 더해진 항이나, 제곱을 미분할 때 나오는 2를 확인하세요.",
    ),
    "ratio half": (
        "Look for a 1/2 too many, or the 2 of a square left out.",
        "불필요한 1/2이나, 제곱을 미분할 때 빠뜨린 2를 확인하세요.",
    ),
    "ratio size": (
        "{size} is the size of axis {axis} of {what}: look for a sum where there should be a mean "
        "(a missing division by {size}).",
        "{size}은(는) {what}의 {axis}번 축의 크기입니다. 평균이어야 할 곳의 합(빠진 1/{size})을 찾아보세요.",
    ),
    "ratio one over size": (
        "1/{size}, and {size} is the size of axis {axis} of {what}: look for a mean where there should be a sum "
        "(a division by {size} too many).",
        "1/{size}이고 {size}은(는) {what}의 {axis}번 축의 크기입니다. 합이어야 할 곳의 평균(한 번 더 나눈 {size})을 찾아보세요.",
    ),
    "ratio total": (
        "{size} is the number of elements of {what}: look for a sum where there should be a mean.",
        "{size}은(는) {what}의 원소 수입니다. 평균이어야 할 곳의 합을 찾아보세요.",
    ),
    "ratio one over total": (
        "1/{size}, and {size} is the number of elements of {what}: look for a mean where there should be a sum.",
        "1/{size}이고 {size}은(는) {what}의 원소 수입니다. 합이어야 할 곳의 평균을 찾아보세요.",
    ),
    "ratio attribute": (
        "This is {formula} with its {name} = {value}: look for that factor in backward.",
        "이 값은 {name} = {value}일 때의 {formula}입니다. backward에서 그 인수를 확인하세요.",
    ),
    "ratio plain": (
        "Look for a constant factor in the formula of the gradient.",
        "기울기 식의 상수 인수를 확인하세요.",
    ),
    "zero": (
        "{share}: the analytic gradient is 0 there, the numerical one is not. Is a term never added?",
        "{share}. 해석적 기울기는 0인데 수치 기울기는 0이 아닙니다. 더해지지 않은 항이 있습니까?",
    ),
    "numeric zero": (
        "{share}: the numerical gradient is 0 there, the analytic one is not. "
        "The output does not depend on these elements: does backward send something where forward took nothing?",
        "{share}. 수치 기울기는 0인데 해석적 기울기는 0이 아닙니다. 출력은 이 원소들에 의존하지 않습니다: "
        "순전파가 쓰지 않은 곳에 역전파가 값을 보내고 있습니까?",
    ),
    "apart": (
        "The loss does not depend on params['{name}']: the layers hold another array of this shape. Was params['{name}'] "
        "replaced (params['{name}'] = ...)? Change it in place (params['{name}'] -= ..., or [...] = ...), or the network "
        "does not learn.",
        "손실이 params['{name}']에 의존하지 않습니다. 계층은 형상이 같은 다른 배열을 가지고 있습니다. params['{name}'] = ...처럼 "
        "새 배열로 바꾸었습니까? 제자리에서 바꾸세요(params['{name}'] -= ... 또는 [...] = ...). 그러지 않으면 학습되지 않습니다.",
    ),
    "transposed": (
        "{share}: the analytic gradient is the transpose of the right one. Look at the order of a matrix product.",
        "{share}. 해석적 기울기가 올바른 기울기의 전치입니다. 행렬 곱의 순서를 확인하세요.",
    ),
    "flipped": (
        "{share}: the analytic gradient is the right one, reversed along axis {axis}. "
        "Look for a filter that is turned round (convolution against correlation) or a reversed index.",
        "{share}. 해석적 기울기가 올바른 기울기를 {axis}축으로 뒤집은 것입니다. "
        "뒤집힌 필터(합성곱과 상관)나 거꾸로 된 인덱스를 찾아보세요.",
    ),
    "rolled": (
        "{share}: the analytic gradient is the right one, shifted by {shift} along axis {axis}. "
        "Look for an index off by {shift}.",
        "{share}. 해석적 기울기가 올바른 기울기를 {axis}축으로 {shift}만큼 민 것입니다. {shift}만큼 어긋난 인덱스를 찾아보세요.",
    ),
    "rolled flat": (
        "{share}: the analytic gradient is the right one, shifted by {shift} in memory order. "
        "Look for an index off by {shift}.",
        "{share}. 해석적 기울기가 올바른 기울기를 메모리 순서로 {shift}만큼 민 것입니다. {shift}만큼 어긋난 인덱스를 찾아보세요.",
    ),
    "permuted axis": (
        "{share}: the analytic gradient has the right slices along axis {axis}, in another order. "
        "Look at the index that goes along this axis.",
        "{share}. 해석적 기울기는 {axis}축의 조각은 맞지만 순서가 다릅니다. 이 축의 인덱스를 확인하세요.",
    ),
    "permuted": (
        "{share}: the analytic gradient has the right values in other places. Look for a reshape without a transpose.",
        "{share}. 해석적 기울기의 값은 맞지만 위치가 다릅니다. transpose 없이 reshape한 곳을 찾아보세요.",
    ),
    "constant along": (
        "{share}: analytic minus numerical is the same for all elements along axis {axis}. "
        "A term that is summed or averaged over axis {axis} is missing or too many (such as the one of the mean).",
        "{share}. 해석적 값과 수치 값의 차이가 {axis}축을 따라 일정합니다. "
        "{axis}축으로 합하거나 평균한 항이 빠졌거나 남습니다(예: 평균의 미분 항).",
    ),
    "constant": (
        "{share}: analytic minus numerical is the same {value} everywhere. A term is missing or too many that "
        "does not depend on the element, such as the one of a mean over everything.",
        "{share}. 해석적 값과 수치 값의 차이가 어디서나 {value}로 일정합니다. "
        "원소와 무관한 항(예: 전체 평균의 미분 항)이 빠졌거나 남습니다.",
    ),
    "proportional": (
        "{share}: analytic minus numerical is {ratio} times the values of {name} themselves. "
        "Is the gradient of a weight decay (regulariser) missing or too many?",
        "{share}. 해석적 값과 수치 값의 차이가 {name} 값의 {ratio}배입니다. "
        "가중치 감소(정규화) 항의 기울기가 빠졌거나 남습니까?",
    ),
    "proportional sign": (
        "{share}: analytic minus numerical is {ratio} times the sign of {name}. "
        "Is the gradient of an L1 penalty missing or too many?",
        "{share}. 해석적 값과 수치 값의 차이가 {name} 부호의 {ratio}배입니다. L1 벌점의 기울기가 빠졌거나 남습니까?",
    ),
    "centred along": (
        "{share}: analytic minus numerical is proportional to {name} less its mean over axis {axis}. "
        "Is the term of the variance missing or wrong?",
        "{share}. 해석적 값과 수치 값의 차이가 {name}에서 {axis}축 평균을 뺀 값에 비례합니다. 분산의 미분 항이 빠졌거나 틀렸습니까?",
    ),
    "aliasing": (
        "{share}: the analytic gradient is half of the right one, and the same array was given {count} times. "
        "Its gradients have to be added, one for each place where it is used.",
        "{share}. 해석적 기울기가 올바른 기울기의 절반이고, 같은 배열이 {count}번 주어졌습니다. "
        "쓰인 곳마다의 기울기를 모두 더해야 합니다.",
    ),
    "only zeros": (
        "{share}, exactly those where {name} is 0. Look at how a mask or padding is treated.",
        "{share}. 정확히 {name}이(가) 0인 곳들입니다. 마스크나 패딩의 처리를 확인하세요.",
    ),
    "only negatives": (
        "{share}, exactly those where {name} is below 0. Look at the branch for negative values.",
        "{share}. 정확히 {name}이(가) 음수인 곳들입니다. 음수 값의 분기를 확인하세요.",
    ),
    "only positives": (
        "{share}, exactly those where {name} is above 0. Look at the branch for positive values.",
        "{share}. 정확히 {name}이(가) 양수인 곳들입니다. 양수 값의 분기를 확인하세요.",
    ),
    "only ties": (
        "{share}, all where a value of {name} occurs more than once. Look at what happens at ties.",
        "{share}. 모두 {name}의 같은 값이 두 번 이상 나오는 곳입니다. 동점 처리를 확인하세요.",
    ),
    "only duplicates": (
        "{share}, all in rows of {name} that an index in {other} names more than once. "
        "Their gradients have to be added (np.add.at), not assigned.",
        "{share}. 모두 {other}의 인덱스가 두 번 이상 가리키는 {name}의 행입니다. "
        "기울기를 대입하지 말고 더해야 합니다(np.add.at).",
    ),
    "only first": (
        "{share}, all at the beginning of axis {axis}. Look at where a loop or a slice begins.",
        "{share}. 모두 {axis}축의 처음입니다. 반복문이나 슬라이스의 시작을 확인하세요.",
    ),
    "only last": (
        "{share}, all at the end of axis {axis}. Look at where a loop or a slice ends.",
        "{share}. 모두 {axis}축의 끝입니다. 반복문이나 슬라이스의 끝을 확인하세요.",
    ),
    "only border": (
        "{share}, all on the border of the last two axes. Look at how padding is cut off again (col2im).",
        "{share}. 모두 마지막 두 축의 가장자리입니다. 패딩을 다시 잘라내는 부분(col2im)을 확인하세요.",
    ),
    "only inside": (
        "{share}, none on the border of the last two axes. Where windows overlap, their parts have to be added (+=).",
        "{share}. 마지막 두 축의 가장자리는 모두 맞습니다. 창이 겹치는 곳에서는 값을 더해야 합니다(+=).",
    ),
    "only slice": (
        "{share}, all at index {index} of axis {axis}.",
        "{share}. 모두 {axis}축의 인덱스 {index}에 있습니다.",
    ),
    "only one": (
        "{share}: {index}, where the analytic value is {ratio} times the numerical one.",
        "{share}: {index}. 그 곳에서 해석적 값은 수치 값의 {ratio}배입니다.",
    ),
    "differ": (
        "{share}; the largest difference is at {index}. No simple pattern fits: check the formula term by term.",
        "{share}. 차이는 {index}에서 가장 큽니다. 맞는 단순한 규칙이 없으니 식을 항별로 확인하세요.",
    ),
    "scaled per": (
        "{share}: along axis {axis} each slice is off by a factor of its own. "
        "Look for a factor with an index along axis {axis} that is missing or wrong.",
        "{share}. {axis}축의 각 조각이 저마다 다른 비율로 어긋납니다. {axis}축을 따르는 인수가 빠졌거나 틀렸는지 확인하세요.",
    ),
    "bisected": (
        "Single elements looked right, but a random direction did not; bisection took {evaluations} evaluations and "
        "found {found}.",
        "개별 원소는 맞아 보였지만 무작위 방향이 어긋났습니다. 이분 탐색이 {evaluations}번의 계산으로 {found} 찾았습니다.",
    ),
    "bisected nothing": (
        "Single elements looked right, but a random direction through all of them did not ({analytic} against "
        "{numeric}); the difference is spread so thin that bisection could not name an element.",
        "개별 원소는 맞아 보였지만 전체를 지나는 무작위 방향이 어긋났습니다({analytic} 대 {numeric}). "
        "차이가 너무 넓게 퍼져 있어 이분 탐색으로 원소를 지목하지 못했습니다.",
    ),
    "sees both": (
        "The gradient of the part that was checked at point {point}, a random one near yours.",
        "당신의 점 근처의 무작위 점 {point}에서 확인한 부분의 기울기입니다.",
    ),
    # -- kinks --------------------------------------------------------------------------------
    "kink": (
        "{count} of {checked} elements sit exactly on a kink; at {index} the slope is {left} from the left and {right} "
        "from the right, and the analytic value {analytic} is one of those between.",
        "원소 {checked}개 중 {count}개가 꺾인 점 위에 있습니다. {index}에서 왼쪽 기울기는 {left}, 오른쪽 기울기는 {right}이고 "
        "해석적 값 {analytic}은(는) 그 사이에 있습니다.",
    ),
    "kink tied": (
        "{count} of {checked} elements are tied with others, and the output follows one of them: which one is a choice. "
        "The analytic value {analytic} at {index} is one of those that the choices have.",
        "원소 {checked}개 중 {count}개가 다른 원소와 같은 값이고 출력은 그중 하나를 따릅니다. 어느 것인지는 선택입니다. "
        "{index}의 해석적 값 {analytic}은(는) 가능한 선택의 값 중 하나입니다.",
    ),
    "unchecked": (
        "not checked: {names} (no gradient beside, such as dW for W or grads['W'] for params['W'])",
        "검사하지 않음: {names} (W에 대한 dW, params['W']에 대한 grads['W'] 같은 기울기가 없음)",
    ),
    "unstable": (
        "The analytic gradient of {count} elements is another one for every change in the last digits of the inputs: "
        "the function is rougher than floats are fine, and nothing can be shown there.",
        "원소 {count}개의 해석적 기울기가 입력의 마지막 자리만 바뀌어도 전혀 다른 값이 됩니다. "
        "함수가 부동소수점의 간격보다 거칠어서 아무것도 보일 수 없습니다.",
    ),
    "kink outside": (
        "{index} sits exactly on a kink: the slope is {left} from the left and {right} from the right, "
        "and the analytic value {analytic} is not between them.",
        "{index}은(는) 꺾인 점 위에 있습니다. 왼쪽 기울기는 {left}, 오른쪽 기울기는 {right}인데 해석적 값 {analytic}은(는) 그 사이에 없습니다.",
    ),
    "own gradient": (
        "In float64 the gradient is right, but the one that the net computes in {dtype} is off at {index}: {own} instead "
        "of {wide} ± {allowed}, more than rounding explains.",
        "float64로 계산한 기울기는 맞지만, 신경망이 {dtype}로 계산한 값은 {index}에서 {wide} ± {allowed}가 아니라 {own}입니다. "
        "반올림으로 설명할 수 있는 차이보다 큽니다.",
    ),
    "ties": (
        "{count} elements sit on a kink together. Moved together, the slope is {left} to {right}, but their analytic "
        "values add up to {analytic}: does every one of several equal maxima get the whole gradient? "
        "Only one of them may, or they have to share it.",
        "원소 {count}개가 함께 꺾인 점 위에 있습니다. 함께 움직이면 기울기는 {left}에서 {right} 사이인데 해석적 값의 합은 {analytic}입니다. "
        "같은 최댓값들이 모두 기울기 전체를 받고 있습니까? 하나만 받거나 나누어 가져야 합니다.",
    ),
    "kink unclear": (
        "{count} elements sit on several kinks at once; whether their analytic values are possible ones cannot be told.",
        "원소 {count}개가 여러 꺾인 점 위에 동시에 있어, 해석적 값이 가능한 값인지 알 수 없습니다.",
    ),
    "jump": (
        "the function jumps at {index}: it changes by {jump} however small the step.",
        "함수가 {index}에서 불연속입니다. 아무리 작게 움직여도 {jump}만큼 변합니다.",
    ),
    # -- nothing shown ------------------------------------------------------------------------
    "batch of one": (
        "The output does not depend on {name} here, and there is only one sample: what normalises a batch of one gives 0 "
        "whatever {name} is. Check with at least two different samples.",
        "이 점에서 출력이 {name}에 의존하지 않으며 표본이 하나뿐입니다. 표본 하나뿐인 배치를 정규화하면 {name}에 관계없이 0이 됩니다. 서로 다른 표본을 둘 이상 써서 확인하세요.",
    ),
    "unused": (
        "The output does not depend on {name} here. Is it used at all, or is everything behind it off (dead ReLUs)?",
        "여기서는 출력이 {name}에 의존하지 않습니다. 실제로 쓰입니까, 아니면 뒤가 모두 꺼져 있습니까(죽은 ReLU)?",
    ),
    "zero by rounding": (
        "Zero but for rounding, in both: the largest gradient beside it is {largest}.",
        "두 기울기 모두 반올림 오차를 빼면 0입니다. 곁에 있는 가장 큰 기울기는 {largest}입니다.",
    ),
    "noisy": (
        "The numerical derivative is only known to within {uncertainty}: the function is noisy, cancels large terms, "
        "or computes in float32 inside.",
        "수치 미분이 {uncertainty} 안에서만 알려져 있습니다. 함수에 잡음이 있거나, 큰 항이 상쇄되거나, 내부에서 float32로 계산합니다.",
    ),
    "unresolved some": (
        "{count} of {checked} elements are too small or too uncertain to judge alone; random directions through all of them agree.",
        "원소 {checked}개 중 {count}개는 하나씩 판정하기에 너무 작거나 불확실하지만, 전체를 지나는 무작위 방향은 일치합니다.",
    ),
    "hidden float32": (
        "The function computes in float32 inside: its rounding limits what can be shown.",
        "함수가 내부에서 float32로 계산하므로 그 반올림 오차만큼만 확인할 수 있습니다.",
    ),
    "log eps": (
        "The loss adds {eps} inside its logarithm, and the gradient leaves it out: this explains the whole difference "
        "(at most {largest}). Harmless: it keeps log(0) away.",
        "손실이 로그 안에 {eps}을(를) 더하지만 기울기는 이를 무시합니다. 차이(최대 {largest}) 전체가 이것으로 설명됩니다. "
        "log(0)을 막기 위한 것으로 무해합니다.",
    ),
    # -- conduct ------------------------------------------------------------------------------
    "MUTATED_INPUT": (
        "{who} changed its argument {name}: at {index} it was {before} and is {after}. Work on a copy",
        "{who}이(가) 인수 {name}을(를) 바꿨습니다. {index}에서 {before}이던 값이 {after}이(가) 되었습니다. 복사본을 쓰세요",
    ),
    "absent": ("absent", "없음"),
    "MUTATED_GY": (
        "{who} changed the upstream gradient it was given: at {index} it was {before} and is {after}. Work on a copy",
        "{who}이(가) 넘겨받은 기울기를 바꿨습니다. {index}에서 {before}이던 값이 {after}이(가) 되었습니다. 복사본을 쓰세요",
    ),
    "STATE_CHANGED output": (
        "the output depends on how often {who} has been called before: at {index} it was {before} and then {after}",
        "출력이 {who}의 호출 횟수에 따라 달라집니다. {index}에서 {before}이던 값이 다음에는 {after}입니다",
    ),
    "STATE_CHANGED parameter": (
        "{who} changed the parameter {name}: at {index} it was {before} and is {after}",
        "{who}이(가) 매개변수 {name}을(를) 바꿨습니다. {index}에서 {before}이던 값이 {after}이(가) 되었습니다",
    ),
    "NONDETERMINISTIC": (
        "the same input gave two different outputs: at {index} {before} and then {after}",
        "같은 입력에서 서로 다른 출력이 나왔습니다. {index}에서 {before}, 다음에는 {after}입니다",
    ),
    "NONDETERMINISTIC gradient": (
        "the same input gave two different gradients of {name}: at {index} {before} and then {after}",
        "같은 입력에서 {name}의 기울기가 서로 다르게 나왔습니다. {index}에서 {before}, 다음에는 {after}입니다",
    ),
    "NOT_REENTRANT": (
        "a second backward gives another gradient of {name}: at {index} {before} and then {after}{hint}",
        "두 번째 역전파에서 {name}의 기울기가 달라집니다. {index}에서 {before}, 다음에는 {after}입니다{hint}",
    ),
    "hint accumulates": (
        " (twice as much: is it added to the last one, += where = is meant?)",
        " (두 배입니다: =이어야 할 곳에 +=를 써서 이전 값에 더하고 있습니까?)",
    ),
    "NOT_REENTRANT raises": (
        "a second backward after one forward raises {error}",
        "순전파 한 번 뒤의 두 번째 역전파에서 {error} 오류가 납니다",
    ),
    "NOT_LINEAR_IN_GY ignored": (
        "the gradient of {name} is the same whatever the upstream gradient is: it is ignored, so the layer is right only "
        "as the last one (where it is 1)",
        "{name}의 기울기가 넘겨받은 기울기와 무관합니다. 넘겨받은 기울기를 무시하므로 (그 값이 1인) 마지막 계층으로만 맞습니다",
    ),
    "NOT_LINEAR_IN_GY": (
        "the gradient of {name} is not proportional to the upstream gradient: for -3 times as much, {before} at {index} "
        "became {after}",
        "{name}의 기울기가 넘겨받은 기울기에 비례하지 않습니다. -3배를 주면 {index}에서 {before}이던 값이 {after}이(가) 됩니다",
    ),
    "NOT_LINEAR_IN_GY raises": (
        "backward raises for an upstream gradient of zero: {error}",
        "넘겨받은 기울기가 0이면 역전파가 예외를 냅니다: {error}",
    ),
    "NOT_LINEAR_IN_GY jvp": (
        "the derivative along all inputs at once is not the sum of those along each: {after} for {before}",
        "모든 입력을 함께 움직인 미분이 하나씩 움직인 미분의 합과 다릅니다. {before}이어야 하는데 {after}입니다",
    ),
    "NOT_LINEAR_IN_GY zero": (
        "for an upstream gradient of zero the gradient of {name} is {after} at {index}, not 0",
        "넘겨받은 기울기가 0인데 {name}의 기울기가 {index}에서 0이 아니라 {after}입니다",
    ),
    "forward": ("forward", "forward"),
    "backward": ("backward", "backward"),
    # -- adjoint ------------------------------------------------------------------------------
    "adjoint": (
        "vjp and jvp contradict each other: <gy, jvp(v)> = {forward}, <vjp(gy), v> = {reverse}",
        "vjp와 jvp가 서로 모순됩니다: <gy, jvp(v)> = {forward}, <vjp(gy), v> = {reverse}",
    ),
    # -- the report ---------------------------------------------------------------------------
    "verdict": (
        "{word}: {subject}, {evaluations} evaluations",
        "{word}: {subject}, 함수 계산 {evaluations}번",
    ),
    "evidence": (
        "A single wrong element of {name} would stay unseen below {invisible} (largest gradient {largest}).",
        "{name}의 틀린 원소 하나는 {invisible}보다 작으면 보이지 않습니다 (가장 큰 기울기 {largest}).",
    ),
    "and more": (" and {count} more", " 외 {count}개"),
    "more": ("... and {count} more", "... 그 밖에 {count}개"),
    "conduct": ("conduct: {finding}", "행동: {finding}"),
    "again": ("again: {call}", "다시 하기: {call}"),
    "sides": (
        "analytic: what the code's backward gave; numeric: measured on its forward",
        "analytic: 코드의 역전파가 준 값, numeric: 순전파에서 잰 값",
    ),
}
