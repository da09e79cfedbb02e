"""Where each row of the first, written catalogue is tested that no row here names, and why some cannot be."""

ELSEWHERE = {
    "B014 B021": "test_layers.py: layouts; NumPy 2 refuses strides that leave the address space before we see them",
    "B037 B063": "test_functions.py: extreme numbers",
    "B048": "a file that shrinks under a memmap is outside any process's contract",
    "B059 B060 B061": "there is no one_hot(): labels are taken as they are",
    "B065 B066": "there are no class weights and no label smoothing",
    "B022 B023 B024 B025": "nothing takes out=",
    "B083": "there are no groups: the row is that the keyword is refused",
    "B097": "layers have no names of the user's",
    "B110": "backward before forward is refused; backward twice gives the same twice",
    "B121 B122 B123 B124 B127 B128 B129 B130 B131 B132": "test_python_layers.py, test_threads.py, test_net.py",
    "B133 B134 B135 B136 B137 B138 B139 B140 B141 B142 B143 B144 B145 B146 B147 B148 B149 B150 B151 B152 B153 B154": (
        "test_save.py"
    ),
    "B090": "the written catalogue has no such row",
    "B155 B156": "test_save.py, test_layers.py: pickle and copies",
    "B157 B158 B159 B160 B161 B162 B163 B164 B165 B166 B167 B168 B169 B170 B171 B172 B173 B174": "test_dataset.py",
}
EVERY_ROW = {f"B{number:03}" for number in range(1, 175)}
