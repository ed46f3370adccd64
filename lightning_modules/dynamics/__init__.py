"""Flows of latent states: a code and a list of times in, the states at those times out."""

from lightning_modules.dynamics.base import Dynamics as Dynamics
from lightning_modules.dynamics.convolutional import ConvLSTM as ConvLSTM
from lightning_modules.dynamics.convolutional import Deconvolution1d as Deconvolution1d
from lightning_modules.dynamics.fields import ConvField as ConvField
from lightning_modules.dynamics.fields import ConvJetEncoder as ConvJetEncoder
from lightning_modules.dynamics.fields import JetEncoder as JetEncoder
from lightning_modules.dynamics.fields import LeakyConvField as LeakyConvField
from lightning_modules.dynamics.fields import VectorField as VectorField
from lightning_modules.dynamics.matched import parameter_matched_ode as parameter_matched_ode
from lightning_modules.dynamics.matched import parameter_matched_sde as parameter_matched_sde
from lightning_modules.dynamics.ode import LatentODE as LatentODE
from lightning_modules.dynamics.recurrent import Interpolated as Interpolated
from lightning_modules.dynamics.recurrent import NoisyGRU as NoisyGRU
from lightning_modules.dynamics.recurrent import Recurrent as Recurrent
from lightning_modules.dynamics.sde import LatentSDE as LatentSDE
