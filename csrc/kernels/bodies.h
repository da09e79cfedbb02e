/* All kernels, for the type and the instruction set chosen by the file that includes this; ends with their table. */
#include "math.inc"

#include "transpose.inc"

#include "elementwise.inc"

#include "gemm.inc"

#include "nonzero.inc"

#include "pooling.inc"

#include "convolution.inc"

#ifdef BD_SINGLE
#include "winograd.inc"
#endif

#include "listed.inc"

#include "sparse.inc"

const bd_kernels_real TABLE = {
    .gemm_nn = KERNEL(gemm_nn),
    .gemm_nt = KERNEL(gemm_nt),
    .gemm_tn = KERNEL(gemm_tn),
    .gemm_nn_sparse = KERNEL(gemm_nn_sparse),
    .gemm_nt_sparse = KERNEL(gemm_nt_sparse),
    .gemm_tn_sparse = KERNEL(gemm_tn_sparse),
    .sum_rows = KERNEL(sum_rows),
    .transpose = KERNEL(transpose),
    .convolve = KERNEL(convolve),
#ifdef BD_SINGLE
    .winograd_filters = KERNEL(winograd_filters),
    .convolve_winograd = KERNEL(convolve_winograd),
    .winograd_products = KERNEL(winograd_products),
    .winograd_filter_gradient = KERNEL(winograd_filter_gradient),
#endif
    .convolve_filter = KERNEL(convolve_filter),
    .convolve_back = KERNEL(convolve_back),
    .convolve_back_thin = KERNEL(convolve_back_thin),
    .count_nonzero = KERNEL(count_nonzero),
    .list_nonzero = KERNEL(list_nonzero),
    .list_pixels = KERNEL(list_pixels),
    .convolve_filter_pixels = KERNEL(convolve_filter_pixels),
    .convolve_filter_sparse = KERNEL(convolve_filter_sparse),
    .convolve_back_sparse = KERNEL(convolve_back_sparse),
    .pool = KERNEL(pool),
    .pool_backward = KERNEL(pool_backward),
    .unpool = KERNEL(unpool),
    .list_winners = KERNEL(list_winners),
    .list_winners_of_filters = KERNEL(list_winners_of_filters),
    .exp = KERNEL(exp),
    .log = KERNEL(log),
    .relu = KERNEL(relu),
    .sigmoid = KERNEL(sigmoid),
    .tanh = KERNEL(tanh),
    .add = KERNEL(add),
    .relu_backward = KERNEL(relu_backward),
    .relu_signs = KERNEL(relu_signs),
    .relu_backward_signs = KERNEL(relu_backward_signs),
    .sigmoid_backward = KERNEL(sigmoid_backward),
    .tanh_backward = KERNEL(tanh_backward),
    .softmax_rows = KERNEL(softmax_rows),
    .all_below = KERNEL(all_below),
    .copy_below = KERNEL(copy_below),
    .sgd = KERNEL(sgd),
    .momentum = KERNEL(momentum),
    .nesterov = KERNEL(nesterov),
    .adagrad = KERNEL(adagrad),
    .adam = KERNEL(adam),
};
