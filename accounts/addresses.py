"""Where an account's order calls may leave from, as registered at the broker; `accounts.models` loads the rows."""

from typing import ClassVar

from django.db import models


class RegisteredAddress(models.Model):
    """One address that is registered at the broker for an account; while there is one, orders leave from it or not."""

    account = models.ForeignKey("accounts.BrokerAccount", on_delete=models.PROTECT, related_name="+")
    address = models.GenericIPAddressField(unpack_ipv4=True)
    registered_at = models.DateTimeField()
    registered_by = models.CharField(max_length=150)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["account", "address"], name="registered_address_once"),
        ]
        verbose_name_plural = "registered addresses"

    def __str__(self) -> str:
        return self.address


class EgressCheck(models.Model):
    """What address an account's order calls were seen to leave from, and what followed."""

    class Verdict(models.TextChoices):
        """What the observation says."""

        REGISTERED = "registered"
        FOREIGN = "foreign"
        UNSEEN = "unseen"

    account = models.ForeignKey("accounts.BrokerAccount", on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()
    day = models.DateField()
    route = models.CharField(max_length=250)
    observed = models.GenericIPAddressField(null=True, blank=True, unpack_ipv4=True)
    verdict = models.CharField(max_length=10, choices=Verdict)
    why = models.CharField(max_length=200)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=models.Q(verdict__in=["registered", "foreign", "unseen"]), name="egress_verdict_known"
            ),
            models.CheckConstraint(
                condition=models.Q(verdict="unseen") ^ models.Q(observed__isnull=False), name="egress_seen_or_not"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["account", "-at"], name="egress_latest")]

    def __str__(self) -> str:
        return f"{self.observed or 'unseen'}: {self.verdict}"
