"""URLs of the pages of this app inside the admin."""

from django.urls import path

from greeks.pages import chains_page

urlpatterns = [path("admin/chains/", chains_page, name="chains-page")]
