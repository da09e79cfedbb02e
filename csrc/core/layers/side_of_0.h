/* On which side of 0 each number is, compared with `before`: the branches of a ReLU and of its relatives. */
static bd_branch REAL(side_of_0)(const bd_layer *layer, const bd_io *io, const void *before)
{
    const real *x = io->x[0], *b = before;
    bd_branch branch = BD_SAME_BRANCH;

    (void)layer;
    for (bd_size i = 0; i < bd_count(io->shape); i++)
        if ((x[i] > 0) != (b[i] > 0)) {
            if (b[i] != 0)
                return BD_CROSSED;
            branch = BD_LEFT_TIE;
        }
    return branch;
}
