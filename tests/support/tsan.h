/* tsan.h - is this program built with ThreadSanitizer, which does not bear all that is tested? */
#ifndef KEDGE_KEDGE_TSAN_H
#define KEDGE_KEDGE_TSAN_H

#if defined(__SANITIZE_THREAD__)
#    define KEDGE_TSAN 1
#elif defined(__has_feature)
#    if __has_feature(thread_sanitizer)
#        define KEDGE_TSAN 1
#    endif
#endif
#ifndef KEDGE_TSAN
#    define KEDGE_TSAN 0
#endif

#endif
