/* On which side of 0 each number is, compared with `before`: the branches of a ReLU and of its relatives, which
 * multiply by below_0(layer) what is not above 0. */
static bd_branch REAL(side_of_0)(const bd_layer *layer, const bd_io *io, const void *before)
{
    const real *x = io->x[0], *b = before;
    const bd_size count = bd_count(io->shape);
    bd_branch branch = BD_SAME_BRANCH;

    for (bd_size i = 0; i < count; i++)
        if ((x[i] > 0) != (b[i] > 0)) {
            if (io->out)
                ((real *)io->out)[i] = b[i] > 0 ? x[i] : x[i] * (real)below_0(layer);
            if (b[i] != 0)
                branch = BD_CROSSED;
            else if (branch != BD_CROSSED)
                branch = BD_LEFT_TIE;
        }
    return branch;
}
