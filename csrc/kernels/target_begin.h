/* From here to target_end.h functions are compiled for BD_FEATURES, whatever the command line says. */
#ifdef __clang__
#define BD_PRAGMA_(text) _Pragma(#text)
#define BD_PRAGMA(text) BD_PRAGMA_(text)
BD_PRAGMA(clang attribute push(__attribute__((target(BD_FEATURES))), apply_to = function))
#else
#pragma GCC push_options
#define BD_PRAGMA_(text) _Pragma(#text)
#define BD_PRAGMA(text) BD_PRAGMA_(text)
BD_PRAGMA(GCC target(BD_FEATURES))
#endif
