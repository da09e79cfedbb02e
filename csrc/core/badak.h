/* badak.h: the C core, as its users see it. READ FIRST.
 *
 * What it is      Layers, losses, optimisers and a net that runs them, in plain C: no Python, no globals but the
 *                 kernel table and the pool of threads, no allocation in a training step.
 * Float types     Every layer exists for float, double and long double, from one body (each_real.h). A bd_dtype
 *                 says which; buffers are void * and hold that type.
 * Shapes          dim[0] is always the number of samples n. Images are n c h w. Rows are C-contiguous.
 * Memory          The caller owns every buffer. bd_net owns two arenas: parameters (made once, never moved) and
 *                 activations (grown by bd_net_reserve only).
 * Errors          A bd_status; numbers for its message in a bd_detail; bd_explain() makes the text. Nothing is
 *                 changed when a call fails, unless its comment says so.
 * Aliasing        No output may overlap an input, but where a comment allows it.
 */
#ifndef BADAK_H
#define BADAK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef int64_t bd_size; /* a count of elements, samples or features; never negative where it is valid */

/* ---------------------------------------------------------------- float types */

typedef enum { BD_F32, BD_F64, BD_EXT, BD_DTYPES } bd_dtype;

size_t bd_dtype_size(bd_dtype dtype);

/* ---------------------------------------------------------------- status and messages (status.c) */

typedef enum {
    BD_OK,
    BD_NO_MEMORY,
    BD_TOO_LARGE,
    BD_BAD_NDIM,
    BD_BAD_FEATURES,
    BD_EMPTY_FEATURES,
    BD_EMPTY_BATCH,
    BD_BAD_HYPER,
    BD_BAD_LABEL,
    BD_BAD_SOFT_LABEL,
    BD_BAD_TARGET_WIDTH,
    BD_NEEDS_CLASS_LABELS,
    BD_NEEDS_TARGET_ROWS,
    BD_NOT_FINITE,
    BD_LOSS_NOT_FINITE,
    BD_GRADIENT_NOT_FINITE,
    BD_UPDATE_NOT_FINITE,
    BD_STOPPED,
    BD_NOT_A_LOSS,
    BD_LOSS_INSIDE,
    BD_TOO_DEEP,
    BD_BAD_ROW,
    BD_NEEDS_IMAGES,
    BD_WINDOW_TOO_LARGE,
    BD_PAD_TOO_LARGE,
    BD_BAD_BINARY_TARGET,
    BD_STATUSES
} bd_status;

/* What a message needs besides its status. Each status says in status.c which of these it uses. */
typedef struct {
    const char *what; /* the argument, layer or hyper-parameter that the message is about */
    bd_size got, expected, where;
    double value;
} bd_detail;

/* The message of a status: at most `size` bytes with the closing zero. */
void bd_explain(bd_status status, const bd_detail *detail, char *text, size_t size);

/* ---------------------------------------------------------------- memory (memory.c) */

/* 64-byte aligned, zeroed; NULL if there is none or the size is absurd. */
void *bd_alloc(size_t bytes);
void bd_free(void *memory);

/* ---------------------------------------------------------------- shapes (shape.c) */

enum { BD_MAX_DIM = 8 };
#define BD_MAX_ELEMENTS ((bd_size)1 << 48) /* no array of ours may hold more: products cannot overflow */

typedef struct {
    int ndim;
    bd_size dim[BD_MAX_DIM];
} bd_shape;

bd_shape bd_shape1(bd_size a);
bd_shape bd_shape2(bd_size a, bd_size b);
bool bd_same_shape(const bd_shape *a, const bd_shape *b);
/* The number of elements; -1 if a dimension is negative or the product exceeds BD_MAX_ELEMENTS. */
bd_size bd_count(const bd_shape *shape);
/* Elements per sample: the product of all dimensions but the first. */
bd_size bd_features(const bd_shape *shape);

/* A window that slides over images x (n, c, h, w): a filter, or a pool. */
typedef struct {
    bd_size c, h, w; /* of one image */
    bd_size fh, fw;  /* of the window */
    bd_size stride, pad, dilation;
    bd_size oh, ow; /* how often it fits */
} bd_window;

/* Sets c h w oh ow from x; fails unless x is 4-D and the window fits at least once. */
bd_status bd_window_fit(bd_window *window, const bd_shape *x, bd_detail *detail);

/* ---------------------------------------------------------------- random numbers (rng.c) */

/* Philox4x32-10 (Salmon et al., SC 2011): a counter, so that a state is two numbers and any position can be reached. */
typedef struct {
    uint64_t seed, position;
} bd_rng;

uint64_t bd_rng_next(bd_rng *rng);
double bd_rng_uniform(bd_rng *rng);                          /* [0, 1), 53 bits */
double bd_rng_normal(bd_rng *rng);                           /* mean 0, variance 1 */
void bd_rng_shuffle(bd_rng *rng, int64_t *index, bd_size n); /* Fisher-Yates, unbiased */

/* ---------------------------------------------------------------- what a layer kind is (csrc/README.md) */

enum { BD_MAX_HYPER = 8, BD_MAX_PARAM = 8, BD_MAX_BUFFER = 2, BD_MAX_INPUT = 2 };

typedef union {
    int64_t i;
    double f;
} bd_value;

/* BD_INIT is a standard deviation, or one of the two rules that follow. */
typedef enum { BD_INT = 1, BD_REAL, BD_INIT } bd_hyper_type;
#define BD_INIT_HE (-1.0)     /* std = sqrt(2 / fan_in), for ReLU */
#define BD_INIT_XAVIER (-2.0) /* std = sqrt(1 / fan_in), for sigmoid and tanh */

typedef struct {
    const char *name;
    bd_hyper_type type;
    double min, max; /* both allowed, unless `above` or `below` */
    bool above, below;
    bool needed; /* has no default */
    double fallback;
} bd_hyper_spec;

typedef enum { BD_WEIGHT = 1, BD_BIAS, BD_SCALE, BD_STATISTIC } bd_role; /* drawn by init, 0, 1, 0 at first */

typedef struct {
    const char *name;
    bd_role role;
} bd_array_spec;

typedef enum {
    BD_KEEP_INPUT = 1 << 0,    /* backward reads x */
    BD_KEEP_OUTPUT = 1 << 1,   /* backward reads out */
    BD_IS_LOSS = 1 << 2,       /* needs a target; out is one number, the mean over the batch */
    BD_CLASS_TARGET = 1 << 3,  /* the target is a class per sample (index, or a row of weights per class) */
    BD_ROW_TARGET = 1 << 4,    /* the target is a row of numbers per sample */
    BD_MIXES_SAMPLES = 1 << 5, /* one sample's output depends on the others (batch norm) */
    BD_DIFFERS_IN_TRAINING = 1 << 6,
    BD_BINARY_TARGET = 1 << 7, /* each column of the target is a class of its own: 0, 1, or between */
    BD_CAN_RELU = 1 << 8,      /* applies a ReLU to what it stores when io->relu_out, and to dx when io->relu_dx */
    BD_IS_RELU = 1 << 9,       /* is that ReLU */
    BD_IMAGES = 1 << 10,       /* reads x with its channels last when io->x_last, and writes out so when io->out_last */
    BD_ANY_ORDER = 1 << 11,    /* does the same with every element: any order will do, if x and out have the same */
    BD_PER_CHANNEL = 1 << 12,  /* a channel of out (a feature, where x is no image) needs that of x alone */
    BD_CAN_POOL = 1 << 13,     /* pools what it would store when io->winner */
    BD_SHARES = 1 << 14, /* may be called in several threads at once, one for each io->part, and shares the work */
} bd_flags;

typedef struct bd_layer_kind bd_layer_kind;

/* A layer: its kind and the values of its hyper-parameters, in the order of kind->hyper. */
typedef struct {
    const bd_layer_kind *kind;
    bd_value hyper[BD_MAX_HYPER];
} bd_layer;

/* What the shape rule finds out for given inputs. */
typedef struct {
    bd_shape out;
    bd_shape param[BD_MAX_PARAM];
    bd_shape buffer[BD_MAX_BUFFER];
    bd_size fan_in;     /* inputs per unit, for init */
    bd_size keep;       /* reals to keep from forward to backward, besides x and out */
    bd_size keep_index; /* the same, integers */
    bool frees_x;       /* in training `keep` is all that backward needs: without io->relu_dx it does not read x */
    bd_size work;       /* reals of scratch in one call, for each part */
    bd_size common;     /* reals of scratch that all parts share */
    bd_size prepared;   /* reals that forward can make of the parameters, for runs in which they are the same */
    bd_size draws;      /* random numbers that forward takes in training */
    bd_size macs;       /* multiply-adds of forward, for summaries */
} bd_form;

/* The target of a loss: a class per sample, or a row per sample; the other is NULL. */
typedef struct {
    const int64_t *index;
    const void *rows;
    bd_size width; /* of a row */
} bd_target;

/* All that forward and backward of a layer read and write. */
typedef struct {
    const bd_shape *shape; /* of x[0], x[1] */
    const bd_shape *out_shape;
    const void *x[BD_MAX_INPUT]; /* may be NULL in backward without BD_KEEP_INPUT, or after form.frees_x */
    void *out;                   /* written by forward, read by backward if BD_KEEP_OUTPUT */
    int8_t *sign; /* of a ReLU, may take the place of out in backward: 0 where that is <= 0, else 1; or NULL */
    const void *const *param;
    void *const *buffer;
    void *keep;
    int64_t *keep_index;
    void *work, *common;
    void *prepared; /* form.prepared reals; or NULL: not worth it */
    const bd_target *target;
    const void *dout;       /* of out; for a loss one number */
    void *dx[BD_MAX_INPUT]; /* NULL: not wanted */
    void *const *dparam;
    const double *draws; /* form.draws uniform numbers in [0, 1), in training */
    const void *kernels; /* bd_kernels_f32 and its siblings (kernels.h) */
    bool *stop;          /* set by a kind that calls out of the core and failed there: the run ends */
    bool training;
    bool finite;           /* all parameters are known to be */
    bool is_prepared;      /* by a run before this one */
    bool relu_out;         /* only with BD_CAN_RELU: store max(out, 0) */
    bool x_last, out_last; /* only with BD_IMAGES: x and dx, out and dout are n h w c, not n c h w */
    bool relu_dx;          /* only with BD_CAN_RELU: x came from a ReLU, so dx is 0 where x is not above 0 */
    void *winner;          /* only with BD_CAN_POOL: room like out for what backward has to know of a pool of squares of
                            * 2 by 2 (bd_pools_squares) that out goes through, the ReLU before; out and dout are the pool's */
    int part, parts;       /* only with BD_SHARES: which of how many. 0 of 0 is all. Results must not depend on it */
} bd_io;

/* Which of its branches (the sides of a ReLU, the winners of a pool) a function took, compared with another time. */
typedef enum {
    BD_UNTOLD,      /* nobody looked */
    BD_UNMOVED,     /* nothing on the way to the result moved */
    BD_SAME_BRANCH, /* the same */
    BD_LEFT_TIE,    /* others, but only where the other time it was on the border */
    BD_CROSSED,     /* others */
} bd_branch;

struct bd_layer_kind {
    const char *name;
    int inputs;   /* arrays that it takes */
    int branches; /* of those, how many are made by its children from the first (Residual: 1) */
    unsigned flags;
    bd_hyper_spec hyper[BD_MAX_HYPER]; /* up to the first without a name; likewise below */
    bd_array_spec param[BD_MAX_PARAM], buffer[BD_MAX_BUFFER];
    bd_status (*shape)(const bd_layer *layer, const bd_shape *x, bd_form *form, bd_detail *detail);
    void (*forward[BD_DTYPES])(const bd_layer *layer, const bd_io *io);
    void (*backward[BD_DTYPES])(const bd_layer *layer, const bd_io *io);

    /* For numerical derivatives (net_derivative.c), which move one number at a time; images with their channels first.
     * The first three, or none, are there for kinds that are linear in their parameters and in x: */
    /* the features of a sample's out that an element of a parameter reaches */
    void (*reach)(const bd_layer *layer, const bd_shape *x, int param, bd_size element, bd_size *from, bd_size *count);
    /* part, those features of out, after the element has moved by `step` (of the float type); x (1, ...) is io->x[0] */
    void (*nudge[BD_DTYPES])(const bd_layer *layer, const bd_io *io, int param, bd_size element, const void *step,
                             void *part);
    /* out (1, ...) += what `change` of `count` features of x, whole channels, makes of it */
    void (*spread[BD_DTYPES])(const bd_layer *layer, const bd_io *io, void *out, const void *change, bd_size from,
                              bd_size count);
    /* For kinds with branches: those that x (1, ...) took, compared with x `before`. If io->out, it becomes what those
     * of `before` make of x. */
    bd_branch (*branch[BD_DTYPES])(const bd_layer *layer, const bd_io *io, const void *before);
};

/* ---------------------------------------------------------------- the kinds (layers/registry.c) */

extern const bd_layer_kind bd_affine, bd_convolution, bd_pooling, bd_batch_normalization, bd_dropout, bd_relu,
    bd_leaky_relu, bd_sigmoid, bd_tanh, bd_softmax, bd_flatten, bd_residual, bd_softmax_with_loss, bd_sigmoid_with_loss,
    bd_identity_with_loss;

/* All kinds, ended by NULL. */
extern const bd_layer_kind *const bd_layer_kinds[];
const bd_layer_kind *bd_find_layer(const char *name);
/* Is it the pool of the largest of squares of 2 by 2 side by side, which fill an image of this shape? */
bool bd_pools_squares(const bd_layer *layer, const bd_shape *x);
int bd_hyper_count(const bd_hyper_spec *hyper);
int bd_array_count(const bd_array_spec *array, int max);
/* Position of a hyper-parameter, or -1. */
int bd_find_hyper(const bd_hyper_spec *hyper, const char *name);
/* BD_BAD_HYPER if a value is outside its range. */
bd_status bd_check_hyper(const bd_hyper_spec *hyper, const bd_value *value, bd_detail *detail);
/* The shape rule with the checks that all kinds share: sizes not negative and not too large. */
bd_status bd_layer_form(const bd_layer *layer, const bd_shape *x, bd_form *form, bd_detail *detail);
/* Is the target right for n samples of this loss's scores (n, width)? */
bd_status bd_check_target(const bd_layer *loss, const bd_target *target, bd_size n, bd_size width, bd_dtype dtype,
                          bd_detail *detail);

/* ---------------------------------------------------------------- threads (pool.c, processors.c) */

enum { BD_MOST_THREADS = 256 };

/* How many threads a call may use, at least 1. At first it is what suits this process. */
void bd_set_threads(int count);
int bd_threads(void);
int bd_processors(void); /* that this process may run on */
/* Not more threads than processors, their cores, what control groups and OMP_NUM_THREADS allow. `root` is "", or where
 * else /sys and /proc are. */
int bd_suitable_threads(const char *root);

/* The right to use the pool of threads; all 0 is none, and does no harm. */
typedef struct {
    uint64_t ticket;
} bd_team;

/* Takes the pool, for work in so many parts; none if it is not worth it, or taken. Starts threads the first time. */
bd_team bd_team_begin(int parts);
void bd_team_end(bd_team team);
/* Calls `work` in as many threads, this one among them, for part 0, 1 ... of `parts`: so many as asked for, or fewer.
 * Returns when all are done. A team that is none works alone: part 0 of 1. */
void bd_team_run(bd_team team, int parts, void (*work)(void *context, int part, int parts), void *context);
/* The same for forward or backward of a layer, if its kind shares; io->work has `work_bytes` for each part. */
void bd_team_run_layer(bd_team team, int parts, void (*run)(const bd_layer *, const bd_io *), const bd_layer *layer,
                       const bd_io *io, size_t work_bytes);
/* Within such a call: waits until all parts have come here. */
void bd_meet(const bd_io *io);
/* How many parts are worth it for so much arithmetic: what each must have to be worth waking a thread for it, which
 * takes some microseconds, a call to one that is awake, or a share of what the threads of a call are at already. */
#define BD_TO_WAKE 4e6
#define BD_TO_JOIN 1e6
#define BD_TO_SHARE 5e4
int bd_parts_for(double operations, double each);
/* The same for a single call. To a thread that sleeps it must be worth more: the call ends as soon as it is awake. */
int bd_parts_for_call(double operations);
/* A rough count of them for a layer's forward; backward takes twice as many. */
double bd_layer_operations(const bd_form *form, bd_size n, const bd_shape *x);

/* ---------------------------------------------------------------- optimisers (optimizer.c) */

enum { BD_MAX_STATE = 2 };

typedef struct {
    const char *name;
    bd_hyper_spec hyper[BD_MAX_HYPER];
    const char *state[BD_MAX_STATE]; /* arrays like the parameters that it keeps */
    /* p changes in place; t counts updates from 1. */
    void (*update[BD_DTYPES])(void *p, const void *g, void *const *state, bd_size n, const bd_value *hyper, int64_t t,
                              const void *kernels);
} bd_optimizer_kind;

typedef struct {
    const bd_optimizer_kind *kind;
    bd_value hyper[BD_MAX_HYPER];
    double weight_decay; /* lambda of the penalty lambda / 2 sum W^2, over parameters of role BD_WEIGHT */
} bd_optimizer;

extern const bd_optimizer_kind bd_sgd, bd_momentum, bd_nesterov, bd_adagrad, bd_rmsprop, bd_adam;
extern const bd_optimizer_kind *const bd_optimizer_kinds[];
const bd_optimizer_kind *bd_find_optimizer(const char *name);
int bd_state_count(const bd_optimizer_kind *kind);

/* ---------------------------------------------------------------- the book's functions (functions.c) */

/* Mean over n rows of -sum(t log(y + eps)), y (n, c). */
double bd_cross_entropy_f32(const float *y, const bd_target *t, bd_size n, bd_size c, double eps);
double bd_cross_entropy_f64(const double *y, const bd_target *t, bd_size n, bd_size c, double eps);
/* The first element of x that is NaN or infinite, or -1. */
bd_size bd_first_not_finite(const void *x, bd_size n, bd_dtype dtype);
/* Is every |x| < limit? A NaN is not. */
bool bd_all_below(const void *x, bd_size n, double limit, bd_dtype dtype);
double bd_sum_of_squares(const void *x, bd_size n, bd_dtype dtype);
/* col (n oh ow, c fh fw): the windows of x (n, c, h, w) as rows; col2im adds each entry back to where it came from. */
void bd_im2col(void *col, const void *x, bd_size n, const bd_window *window, bd_dtype dtype);
void bd_col2im(void *x, const void *col, bd_size n, const bd_window *window, bd_dtype dtype);
/* sum((y - t)^2) */
double bd_squared_distance_f32(const float *y, const float *t, bd_size n);
double bd_squared_distance_f64(const double *y, const double *t, bd_size n);

/* ---------------------------------------------------------------- the net (net_plan.c, net_run.c, net_training.c) */

typedef struct bd_net bd_net;

/* A layer for bd_net_create; `children` are those of a layer with branches. */
typedef struct bd_node {
    bd_layer layer;
    const struct bd_node *children;
    int child_count;
} bd_node;

/* One parameter, gradient or buffer of a net. */
typedef struct {
    char name[32]; /* W1 b1 W2 b2 gamma1 ... */
    bd_shape shape;
    bd_role role;
    bd_size fan_in;
    double init;    /* BD_WEIGHT: a standard deviation or a rule */
    bd_size offset; /* elements from the start of its arena part */
    int step;       /* the step of the plan that it belongs to */
} bd_array;

/* A step of the plan, for those who look: forward runs them in order, backward in reverse. */
typedef struct {
    bd_layer layer;
    int depth;                    /* 0; 1 inside a Residual, and so on */
    bool fused;                   /* done by the step before it */
    bd_form form;                 /* for one sample */
    int first_param, param_count; /* of bd_net_param */
    int first_buffer;
    int in[BD_MAX_INPUT], out; /* values: 0 is x, each step makes one */
} bd_step_info;

/* `input` has dim[0] = 1, count is at least 1. `loss` must be a loss, the layers must not. detail->where: the step of
 * the plan at fault. */
bd_status bd_net_create(bd_net **net, bd_dtype dtype, const bd_node *layers, int count, const bd_layer *loss,
                        const bd_shape *input, uint64_t seed, bd_detail *detail);
/* The same without memory for arrays: only names, shapes and steps may be asked for. */
bd_status bd_net_plan(bd_net **net, bd_dtype dtype, const bd_node *layers, int count, const bd_layer *loss,
                      const bd_shape *input, uint64_t seed, bd_detail *detail);
void bd_net_free(bd_net *net);

/* Draws fresh parameters from the net's generator. */
void bd_net_init(bd_net *net);

int bd_net_param_count(const bd_net *net);
const bd_array *bd_net_param(const bd_net *net, int i);
bd_size bd_net_size(const bd_net *net); /* elements of all parameters */
/* The parts of the parameter arena, each bd_net_size() elements, in the order of bd_net_param. */
void *bd_net_params(const bd_net *net);
void *bd_net_grads(const bd_net *net);
void *bd_net_state(const bd_net *net, int i); /* i < bd_state_count of the bound optimiser */
/* Buffers (running statistics): the same, in a part of their own. */
int bd_net_buffer_count(const bd_net *net);
const bd_array *bd_net_buffer(const bd_net *net, int i);
void *bd_net_buffers(const bd_net *net);
/* The memory itself, so that views of it can outlive the net: who takes it frees it with bd_free, after the net. */
void *bd_net_take_arena(bd_net *net);
int bd_net_step_count(const bd_net *net);
void bd_net_step_info(const bd_net *net, int i, bd_step_info *info); /* of the loss as well, the last */
bd_shape bd_net_value_shape(const bd_net *net, int value);           /* for one sample */
bd_shape bd_net_output(const bd_net *net);                           /* of one sample */
bd_dtype bd_net_dtype(const bd_net *net);
const bd_layer *bd_net_loss_layer(const bd_net *net);
bd_rng *bd_net_rng(bd_net *net);
bd_rng bd_net_last_draws(const bd_net *net); /* where the generator stood when the last run began */
/* Random numbers [from, from + count) of a run over n samples that began at this position of the generator. */
void bd_net_draw(const bd_net *net, uint64_t began, bd_size from, bd_size count, bd_size n, double *draws);
/* What runs of such a batch draw from now on, instead of the generator's numbers; NULL: the generator's again. */
bd_status bd_net_give_draws(bd_net *net, const double *draws, bd_size count);
size_t bd_net_activation_bytes(const bd_net *net); /* reserved now */
bool bd_net_mixes_samples(const bd_net *net);

/* Room for batches of n samples. The one function that allocates after creation. */
bd_status bd_net_reserve(bd_net *net, bd_size n);
/* Clears the state of the optimiser and restarts its count of updates. */
void bd_net_bind(bd_net *net, const bd_optimizer_kind *kind);
const bd_optimizer_kind *bd_net_optimizer(const bd_net *net); /* the bound one, or NULL */
int64_t bd_net_updates(const bd_net *net);
void bd_net_set_updates(bd_net *net, int64_t updates);
/* Keeps the pool of threads, if it is worth it for runs of n samples and to be had, until it is given back: for many
 * runs one after the other. Without this each run takes it for itself. */
void bd_net_take_threads(bd_net *net, bd_size n);
void bd_net_give_threads(bd_net *net);
/* Is asked between the steps of every run; false ends the run with BD_STOPPED. NULL: nobody is asked. */
void bd_net_set_poll(bd_net *net, bool (*poll)(void *), void *context);

/* All that follow need bd_net_reserve(n) before, and do not allocate. */

/* For the runs that follow, until the next call of this: are all parameters known to be finite, and to stay the same?
 */
void bd_net_params_are_known(bd_net *net, bool known);
/* scores (n, ...) of the last layer. `fuse` off runs the plain plan: equal numbers, for tests. BD_STOPPED if a layer
 * ended it; so may all that follow. */
bd_status bd_net_forward(bd_net *net, void *scores, const void *x, bd_size n, bool training, bool fuse);
/* The mean loss of n samples; `hits` (or NULL) counts samples whose largest score is their label's. */
bd_status bd_net_loss(bd_net *net, double *loss, bd_size *hits, const void *x, const bd_target *t, bd_size n,
                      bool training, bd_detail *detail);
/* The same and its gradient: into bd_net_grads(), and into dx (n, ...) unless NULL. */
bd_status bd_net_gradient(bd_net *net, double *loss, bd_size *hits, void *dx, const void *x, const bd_target *t,
                          bd_size n, bool fuse, bd_detail *detail);
/* One step on n samples of x (total, ...) and t: those in `rows`, or the first n if it is NULL. The optimiser is
 * the bound kind. `loss` includes the penalty of weight decay. When it fails only the gradients have changed; where
 * something is not finite, detail->where is the first step of the plan that shows it (-1: x itself). */
bd_status bd_net_train(bd_net *net, double *loss, bd_size *hits, const void *x, const bd_target *t, const int64_t *rows,
                       bd_size n, bd_size total, const bd_optimizer *optimizer, bd_detail *detail);
/* The two halves of bd_net_train. Between them bd_net_undo goes back to before the first. */
bd_status bd_net_begin_step(bd_net *net, double *loss, bd_size *hits, const void *x, const bd_target *t,
                            const int64_t *rows, bd_size n, bd_size total, const bd_optimizer *optimizer,
                            bd_detail *detail);
bd_status bd_net_end_step(bd_net *net, const bd_optimizer *optimizer, bd_detail *detail);
void bd_net_undo(bd_net *net);
/* weight_decay / 2 times the sum of the squares of all weights. */
double bd_net_penalty(const bd_net *net, double weight_decay);
/* After bd_net_loss: the loss again with the same arguments, for a net whose parameters changed in step `first` or
 * later. Runs that part only. */
double bd_net_loss_from(bd_net *net, int first, const void *x, const bd_target *t, bd_size n, bool training);

/* After bd_net_loss of n samples: the largest |score|. What the loss is made of, so what its rounding is relative to.
 */
double bd_net_largest_score(const bd_net *net, bd_size n);

/* ---------------------------------------------------------------- numerical derivatives (gradcheck.c) */

/* A function at a step h along one direction. */
typedef struct {
    long double value;
    double moved; /* how far the step really went, once it was rounded to the grid of floats */
    double noise; /* a bound on the rounding error in value, as far as its change from h = 0 is concerned */
    bd_branch branch;
} bd_sample;

/* Takes a sample at h; false stops everything (the callee knows why). Branches not set are BD_UNTOLD. */
typedef bool (*bd_probe)(void *context, double h, bd_sample *sample);

typedef enum {
    BD_SMOOTH,
    BD_KINK,       /* the slopes from the left and from the right differ; value is their mean */
    BD_JUMP,       /* f is not continuous there */
    BD_UNRESOLVED, /* the bound is large */
    BD_NO_VALUE,   /* f(0) is not finite, or f is nowhere near it */
} bd_kind;

typedef struct {
    double value;       /* the derivative */
    double uncertainty; /* a bound on its error */
    double step;        /* the h whose rung was chosen */
    int evaluations;
    double left, right; /* slopes to either side: at that step; at a kink, or if asked for, extrapolated to 0 */
    double left_uncertainty, right_uncertainty; /* of the extrapolated ones; else infinite */
    double bend;                                /* their gap as h goes to 0, less what noise can do */
    bd_kind kind;
    bool finite;    /* some step gave finite numbers */
    bool one_sided; /* only one side of the point could be evaluated */
    bool exact;     /* the branches were told, so that kinks are known */
} bd_derivative_result;

/* d/dh f(h) at 0 by Ridders' ladder. `size` is that of the coordinate; steps go down from `coarsest` (0: a twentieth of
 * the size) and end early once the bound is below rtol / 50, relatively. */
bool bd_derivative(bd_derivative_result *out, bd_probe f, void *context, double size, double coarsest, double rtol);
/* The same, with the slopes from either side extrapolated on their own. */
bool bd_one_sided(bd_derivative_result *out, bd_probe f, void *context, double size, double coarsest, double rtol);

/* The ladder itself, for those who take the samples of many at once. */
enum { BD_RUNGS = 56 };

typedef struct {
    double h, noise, size; /* the largest noise and |value| so far */
    bd_sample right, left;
} bd_rung;

typedef struct {
    bd_sample at;
    bd_rung rung[BD_RUNGS], check[2];
    int count, apart, evaluations;
    double coordinate, coarsest, finest, h, target, noise;
    enum { BD_WALKING, BD_CHECKING, BD_DONE } stage;
    bool exact, both_sides, checked, denied, near, deeper, moved, all_fit, many_bits, single;
} bd_ladder;

/* `at` is the sample at 0; if its branch is BD_UNMOVED, all samples tell theirs. */
void bd_ladder_begin(bd_ladder *ladder, const bd_sample *at, double size, double coarsest, double rtol,
                     bool both_sides);
/* The step at which it wants samples, on both sides; false when it has seen enough. */
bool bd_ladder_next(const bd_ladder *ladder, double *h);
void bd_ladder_take(bd_ladder *ladder, const bd_sample *right, const bd_sample *left);
void bd_ladder_end(bd_ladder *ladder, bd_derivative_result *out);

/* ---------------------------------------------------------------- of a net's loss (net_derivative.c) */

typedef struct bd_stack bd_stack;

/* A parameter of a net, or x, moved by h: one element, or all along a direction. */
typedef struct {
    bd_size element;
    double h;
    const double *along; /* NULL: one element */
    const void *start;   /* with `along`: the numbers as they are, in the net's float type ... */
    double size;         /* ... and the largest of them */
} bd_move;

/* The net in training mode with these n samples, its random numbers from where its generator stands.
 * While it lives, neither the net nor the target may change. `extended`: in long double, where all layers can. */
bd_status bd_stack_create(bd_stack **stack, bd_net *net, const void *x, const bd_target *t, bd_size n, bool extended,
                          bd_detail *detail);
void bd_stack_free(bd_stack *stack);
/* The loss as it is. */
bd_sample bd_stack_at(const bd_stack *stack);
/* The loss after each of the moves of parameter `which` (-1: x), each alone: all of elements, or all along directions.
 * The net is left as it was. */
void bd_stack_losses(bd_stack *stack, int which, const bd_move *move, int count, bd_sample *out);

typedef struct {
    double h;              /* not 0: plain central differences with this step */
    double coarsest, rtol; /* of the ladder */
    bool both_sides;
    bool frozen; /* every layer keeps to the branches that it takes unmoved: what a backward pass differentiates */
} bd_ladder_options;

/* Derivatives by each of the moves (their h is ignored). False if go_on, asked now and then, said so. */
bool bd_stack_derivatives(bd_stack *stack, int which, const bd_move *moves, bd_size count,
                          const bd_ladder_options *options, bd_derivative_result *out, bool (*go_on)(void *),
                          void *context);

/* ---------------------------------------------------------------- kernels (kernels/dispatch.c) */

/* "avx2" or another name to force it, NULL for the best that this processor has. False if it cannot be had. */
bool bd_choose_isa(const char *name);
const char *bd_isa(void);
/* Names of those that this processor can run, best last, ended by NULL. */
const char *const *bd_isa_names(void);
const void *bd_kernels(bd_dtype dtype);

#endif
