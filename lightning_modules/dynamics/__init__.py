"""Flows of latent states: a code and a list of times in, the states at those times out."""

from lightning_modules.dynamics.base import Dynamics as Dynamics
from lightning_modules.dynamics.fields import ConvField as ConvField
from lightning_modules.dynamics.ode import LatentODE as LatentODE
from lightning_modules.dynamics.recurrent import Interpolated as Interpolated
from lightning_modules.dynamics.recurrent import Recurrent as Recurrent
