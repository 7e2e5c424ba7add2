"""Settings of the platform; each value comes from the environment, else from var/env of a running stack."""

from datetime import timedelta
from pathlib import Path

import django_stubs_ext
import environ
from django.core.exceptions import ImproperlyConfigured
from django.urls import reverse_lazy

from accounts.rates import Allowance
from ticker_site.logs import logging_config
from ticker_site.look import unfold_look
from ticker_site.redis_urls import broker_url, channel_layer_host
from ticker_site.schedule import BEAT_SCHEDULE, LONGEST_CHAIN_BEAT, SHORTEST_CHAIN_BEAT, chain_beat

django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
DATA_DIR = Path(env.str("TICKER_DATA_DIR", str(BASE_DIR / "var")))
if (DATA_DIR / "env").is_file():
    env.read_env(str(DATA_DIR / "env"))

DEBUG = env.bool("DEBUG", False)
PRODUCTION = env.bool("PRODUCTION", False)
SECRET_KEY = env.str("SECRET_KEY")
PUBLIC_URL = env.str("PUBLIC_URL", "http://127.0.0.1:8000")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[PUBLIC_URL])
INSTALLATION_ID = env.str("INSTALLATION_ID", "local")

# Broker: the sandbox and the real exchange differ in these roots alone.
KITE_REST_ROOT = env.str("KITE_REST_ROOT", "https://api.kite.trade")
KITE_WS_ROOT = env.str("KITE_WS_ROOT", "wss://ws.kite.trade")
# Refuse orders while an exchange is closed. The sandbox keeps hours of its own, so its start turns this off.
CHECK_MARKET_HOURS = env.bool("CHECK_MARKET_HOURS", True)
KITE_LOGIN_URL = env.str("KITE_LOGIN_URL", "https://kite.zerodha.com/connect/login")

LOGIN_PROVIDER = "accounts.login_provider.Interactive"

# A server of yours, outside, that answers with the address it is asked from: it proves from where orders leave.
EGRESS_ECHO_URL = env.str("EGRESS_ECHO_URL", "")

# Secrets at rest.
VAULT_PROVIDER = env.str("VAULT_PROVIDER", "keyfile")
VAULT_KEY_FILE = env.str("VAULT_KEY_FILE", str(DATA_DIR / "keys" / "keyring.json"))
VAULT_KEYS = env.list("VAULT_KEYS", default=[])
VAULT_KMS_REGION = env.str("VAULT_KMS_REGION", "")
VAULT_KMS_ENDPOINT = env.str("VAULT_KMS_ENDPOINT", "")
VAULT_TRANSIT_URL = env.str("VAULT_TRANSIT_URL", "")
VAULT_TRANSIT_MOUNT = env.str("VAULT_TRANSIT_MOUNT", "transit")
VAULT_TRANSIT_TOKEN_FILE = env.str("VAULT_TRANSIT_TOKEN_FILE", "")
VAULT_TRANSIT_CA_FILE = env.str("VAULT_TRANSIT_CA_FILE", "")
API_KEY_PEPPER = env.str("API_KEY_PEPPER")

# Where the head of the audit chain is kept outside of the database, against a cut of its tail.
AUDIT_HEADS_FILE = env.str("AUDIT_HEADS_FILE", str(DATA_DIR / "audit" / "heads.jsonl"))

FEED_SHARDS = env.int("FEED_SHARDS", 1)

# How often the live chains are computed; a chain older than 15 seconds is an alert.
GREEKS_BEAT_SECONDS = env.float("GREEKS_BEAT_SECONDS", 1.0)
if not SHORTEST_CHAIN_BEAT <= GREEKS_BEAT_SECONDS <= LONGEST_CHAIN_BEAT:
    raise ImproperlyConfigured(
        f"GREEKS_BEAT_SECONDS was {GREEKS_BEAT_SECONDS:g}, not {SHORTEST_CHAIN_BEAT:g} to {LONGEST_CHAIN_BEAT:g}"
    )

# How long a web process that was told to end lets its sockets leave at moments of their own.
DRAIN_SECONDS = env.float("DRAIN_SECONDS", 1.0)

# Webhooks go to public addresses; these networks are allowed besides, over plain HTTP too.
WEBHOOK_ALLOWED_NETWORKS = env.list("WEBHOOK_ALLOWED_NETWORKS", default=[])
WEBHOOK_CA_FILE = env.str("WEBHOOK_CA_FILE", "")

# Where alerts are said besides webhooks, and when one that nobody acknowledged is said again.
ALERT_ESCALATION_MINUTES = env.int("ALERT_ESCALATION_MINUTES", 10)
TELEGRAM_ROOT = env.str("TELEGRAM_ROOT", "https://api.telegram.org")
EMAIL_HOST = env.str("EMAIL_HOST", "localhost")
EMAIL_PORT = env.int("EMAIL_PORT", 587)
EMAIL_HOST_USER = env.str("EMAIL_USER", "")
EMAIL_HOST_PASSWORD = env.str("EMAIL_PASSWORD", "")
EMAIL_USE_TLS = env.bool("EMAIL_TLS", True)
EMAIL_TIMEOUT = 5
DEFAULT_FROM_EMAIL = env.str("EMAIL_FROM", "ticker@localhost")

INSTALLED_APPS = [
    "daphne",
    "ticker_site.apps.TickerSiteConfig",
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "channels",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_celery_beat",
    "django_structlog",
    "axes",
    "accounts",
    "webhooks",
    "market_data",
    "orders",
    "greeks",
    "portfolio",
    "ops",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "ticker_site.door.Door",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.gate.SignInGate",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "ticker_site.request_log.RequestLog",
    "accounts.middleware.KiteSessionsMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "ticker_site.urls"
ASGI_APPLICATION = "ticker_site.asgi.application"
AUTH_USER_MODEL = "accounts.User"
LOGIN_URL = reverse_lazy("admin:login")

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {"default": env.db("DATABASE_URL")}
if DATABASES["default"]["ENGINE"] != "django.db.backends.postgresql":
    raise ImproperlyConfigured("DATABASE_URL must be a postgres:// URL: the platform keeps its truth in PostgreSQL")
DATABASES["default"]["CONN_MAX_AGE"] = 0
# A pooled connection that died with its server is replaced before it is used, not after a request failed on it.
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DATABASES["default"].setdefault("OPTIONS", {}).update(
    {
        "connect_timeout": 5,
        # The statements of the order path are planned once for each connection (accounts.statements).
        "prepare_threshold": 2,
        "options": "-c statement_timeout=15000 -c lock_timeout=5000 -c idle_in_transaction_session_timeout=30000",
    }
)
if env.int("DATABASE_POOL", 0):
    DATABASES["default"]["OPTIONS"]["pool"] = {"min_size": 1, "max_size": env.int("DATABASE_POOL"), "timeout": 5}

REDIS_URL = env.str("REDIS_URL")
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [channel_layer_host(REDIS_URL)], "prefix": "ticker"},
    },
}

CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", broker_url(REDIS_URL))
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_ROUTES = {
    # A cancellation does not stand behind a thousand orders: the worker asks its queues in turn.
    "orders.tasks.carry_command": {"queue": "commands"},
    "orders.tasks.settle_command": {"queue": "commands"},
    "orders.tasks.*": {"queue": "orders"},
    "greeks.tasks.*": {"queue": "greeks"},
}
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 120,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "socket_timeout": 5,
    "socket_connect_timeout": 3,
    # A queue that is gone must cost a request 10 ms, not 6 s: the database sweeper finds what was not enqueued.
    "max_retries": 0,
    "interval_start": 0,
}
CELERY_TIMEZONE = "Asia/Kolkata"
# One beat leads by a lease of the database; others may stand by.
CELERY_BEAT_SCHEDULER = "ops.beat:LeasedScheduler"
CELERY_BEAT_MAX_LOOP_INTERVAL = 1
CELERY_BEAT_SCHEDULE = {**BEAT_SCHEDULE, **chain_beat(seconds=GREEKS_BEAT_SECONDS)}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.authentication.ApiKeyAuthentication",
        "accounts.authentication.PrincipalSessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.permissions.HasScope"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["accounts.parsers.BoundedJSONParser"],
    "DEFAULT_THROTTLE_CLASSES": ["accounts.throttling.CallerThrottle"],
    "DEFAULT_SCHEMA_CLASS": "ticker_site.openapi.Schema",
    "EXCEPTION_HANDLER": "ticker_site.exceptions.problem",
    "COERCE_DECIMAL_TO_STRING": False,
}
# Tokens of an external issuer; without an issuer there are none.
JWT_ISSUER = env.str("JWT_ISSUER", "")
JWT_AUDIENCE = env.str("JWT_AUDIENCE", "ticker-site")
JWT_KEYS_URL = env.str("JWT_KEYS_URL", "")
JWT_ALGORITHM = env.str("JWT_ALGORITHM", "RS256")
JWT_CA_FILE = env.str("JWT_CA_FILE", "")
if JWT_ALGORITHM not in {"RS256", "ES256"}:
    raise ImproperlyConfigured(f"JWT_ALGORITHM was {JWT_ALGORITHM}, not RS256 or ES256")
if JWT_ISSUER and not JWT_KEYS_URL.startswith("https://"):
    raise ImproperlyConfigured("JWT_KEYS_URL: give the https address of the issuer's key set, or unset JWT_ISSUER")

# Requests of one key or one person: sustained a second, and at once after a pause.
REQUEST_RATES = {
    "read": Allowance(env.float("API_READS_PER_SECOND", 100.0), env.int("API_READS_AT_ONCE", 200)),
    "write": Allowance(env.float("API_WRITES_PER_SECOND", 200.0), env.int("API_WRITES_AT_ONCE", 1000)),
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Ticker Site",
    "DESCRIPTION": "Accounts, live market data, Greeks and orders of a Kite Connect trading desk.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "ticker_site.openapi.add_examples",
    ],
    "ENUM_NAME_OVERRIDES": {
        "ProductEnum": "kite.types.Product",
        "ExchangeEnum": "kite.types.Exchange",
        "ValidityEnum": "kite.types.Validity",
        "ModeEnum": [(name, name) for name in ("ltp", "quote", "full")],
        "StreamedModeEnum": "market_data.models.Subscription.Mode",
    },
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "persistAuthorization": False, "displayRequestDuration": True},
}

LANGUAGE_CODE = "en-in"
TIME_ZONE = "Asia/Kolkata"
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = True

PASSWORD_HASHERS = ["django.contrib.auth.hashers.ScryptPasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

# Wrong passwords lock a name at an address, and an address over all names. API keys, the command line and whoever is
# signed in already are not asked, so that nobody can lock the halt away.
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_RESET_ON_SUCCESS = True
AXES_ENABLE_ACCESS_FAILURE_LOG = True
AXES_HTTP_RESPONSE_CODE = 429
AXES_LOCKOUT_CALLABLE = "accounts.sign_in_views.locked_out"
AXES_VERBOSE = False
# Who signed in and when it ended stands in accounts.SignIn.
AXES_DISABLE_ACCESS_LOG = True
SIGN_IN_FAILURES_PER_ADDRESS = 30

HTTPS = PUBLIC_URL.startswith("https://")
SECURE_SSL_REDIRECT = HTTPS and env.bool("SECURE_SSL_REDIRECT", True)
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.bool("BEHIND_PROXY", False) else None
SESSION_COOKIE_NAME = "__Host-session" if HTTPS else "sessionid"
SESSION_COOKIE_SECURE = HTTPS
SESSION_COOKIE_AGE = 8 * 3600
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_NAME = "__Host-csrf" if HTTPS else "csrftoken"
CSRF_COOKIE_SECURE = HTTPS
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 256 * 1024

# The admin's Alpine needs 'unsafe-eval' and inline styles; the Desk narrows this for itself.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "script-src": ["'self'", "'unsafe-eval'"],
        "style-src": ["'self'", "'unsafe-inline'"],
        "img-src": ["'self'", "data:"],
        "connect-src": ["'self'"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'", KITE_LOGIN_URL.partition("/connect")[0]],
        "object-src": ["'none'"],
    },
}

LOGGING = logging_config(json=env.bool("LOG_JSON", PRODUCTION), level=env.str("LOG_LEVEL", "INFO"))

UNFOLD = unfold_look()
