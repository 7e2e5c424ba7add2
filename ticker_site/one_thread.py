"""Django's side of the web process: a request stays in one thread from the first middleware to the last."""

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest
from django.http.response import HttpResponseBase


class OneThread(ASGIHandler):
    """Every view and middleware of ours is synchronous; asked one by one, each would hop to a thread and back."""

    def load_middleware(self, *_: bool, **__: bool) -> None:
        """Build the chain as a WSGI process would."""
        super().load_middleware(is_async=False)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request in its thread."""
        return await sync_to_async(self.get_response, thread_sensitive=True)(request)
