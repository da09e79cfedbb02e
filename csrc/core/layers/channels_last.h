/* The image with its channels last: itself, or a copy in `room`. */
static const real *REAL(channels_last)(real *room, const real *image, bd_size c, bd_size area, bool is_last,
                                       const REAL(bd_kernels) * k)
{
    if (is_last || c == 1)
        return image;
    k->transpose(room, c, image, area, c, area);
    return room;
}
