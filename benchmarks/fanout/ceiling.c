/* The ceiling: one thread that sends the same bytes to every WebSocket, one `send` a client, and does nothing else.
 *   ceiling LISTENER      LISTENER is the number of an open listening socket
 * Payloads come on stdin, each behind its length (4 bytes, little endian). Whatever a client says is answered with "ok".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LARGEST = 1 << 20, EVENTS = 256, HEAD = 10 };

struct client {
    int fd, open;
    uint8_t *left; /* what a full socket did not take; until it is gone, the client is skipped */
    size_t left_length, left_at;
    struct client *next, *before;
};

static struct client clients = {.next = &clients, .before = &clients};
static int epoll, listener;
static uint8_t frame[HEAD + LARGEST];

/* The load client always sends the nonce of RFC 6455's example: this is its answer. */
static const char accepted[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                               "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
static const char ok[] = "\x81\x0c{\"t\":\"ok\"}  ";

static void watch(struct client *c, int how, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    epoll_ctl(epoll, how, c ? c->fd : listener, &event);
}

static void lose(struct client *c) {
    close(c->fd);
    c->before->next = c->next;
    c->next->before = c->before;
    free(c->left);
    free(c);
}

static void take(void) {
    int one = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (fd < 0) return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct client *c = calloc(1, sizeof *c);
    c->fd = fd;
    c->next = clients.next;
    c->before = &clients;
    clients.next->before = c;
    clients.next = c;
    watch(c, EPOLL_CTL_ADD, EPOLLIN);
}

static void hear(struct client *c) {
    uint8_t heard[8192];
    ssize_t got = recv(c->fd, heard, sizeof heard, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) { lose(c); return; }
    if (!c->open && memmem(heard, got, "\r\n\r\n", 4)) {
        c->open = 1;
        send(c->fd, accepted, sizeof accepted - 1, MSG_NOSIGNAL);
    } else if (c->open) {
        send(c->fd, ok, sizeof ok - 1, MSG_NOSIGNAL);
    }
}

static void drain(struct client *c) {
    ssize_t sent = send(c->fd, c->left + c->left_at, c->left_length - c->left_at, MSG_NOSIGNAL);
    if (sent > 0) c->left_at += sent;
    if (c->left_at < c->left_length) return;
    free(c->left);
    c->left = NULL;
    watch(c, EPOLL_CTL_MOD, EPOLLIN);
}

static void deliver(struct client *c, const uint8_t *bytes, size_t n) {
    if (!c->open || c->left) return;
    ssize_t sent = send(c->fd, bytes, n, MSG_NOSIGNAL);
    if (sent == (ssize_t)n || (sent < 0 && errno != EAGAIN)) return;
    c->left_length = n - (sent > 0 ? sent : 0);
    c->left_at = 0;
    c->left = malloc(c->left_length);
    memcpy(c->left, bytes + n - c->left_length, c->left_length);
    watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
}

static int read_exactly(void *into, size_t n) {
    for (size_t have = 0; have < n;) {
        ssize_t got = read(0, (char *)into + have, n - have);
        if (got <= 0) return 0;
        have += got;
    }
    return 1;
}

static int broadcast(void) {
    uint32_t n;
    if (!read_exactly(&n, sizeof n) || n > LARGEST || !read_exactly(frame + HEAD, n)) return 0;
    size_t head = n < 126 ? 2 : n < 65536 ? 4 : HEAD;
    uint8_t *start = frame + HEAD - head;
    start[0] = 0x82;
    start[1] = n < 126 ? n : n < 65536 ? 126 : 127;
    for (size_t i = 2; i < head; i++) start[i] = (uint64_t)n >> 8 * (head - 1 - i);
    for (struct client *c = clients.next; c != &clients; c = c->next) deliver(c, start, head + n);
    return 1;
}

static void serve_sockets(void) {
    struct epoll_event events[EVENTS];
    int n = epoll_wait(epoll, events, EVENTS, 0);
    for (int i = 0; i < n; i++) {
        struct client *c = events[i].data.ptr;
        if (!c) take();
        else if (c->left && events[i].events & EPOLLOUT) drain(c);
        else hear(c);
    }
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    listener = atoi(argv[1]);
    epoll = epoll_create1(0);
    watch(NULL, EPOLL_CTL_ADD, EPOLLIN);
    struct pollfd watched[2] = {{.fd = 0, .events = POLLIN}, {.fd = epoll, .events = POLLIN}};
    for (;;) {
        poll(watched, 2, -1);
        if (watched[1].revents) serve_sockets();
        if (watched[0].revents && !broadcast()) return 0;
    }
}
