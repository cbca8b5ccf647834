"""A0: the student's text states against the teacher's, without a picture or a UNet.

Legend: B pairs, L positions, D width, P width of the projection.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from kimchi.recipes import TextStage

from .transport import transport_cost


class Encoder(Protocol):
    """What alignment asks of a text encoder, student or teacher."""

    name: str
    width: int
    length: int

    def ids(self, prompts: Sequence[str]) -> torch.Tensor:
        """Token ids B L."""
        ...

    def ends(self, ids_BL: torch.Tensor) -> torch.Tensor:
        """Position of the end token, B."""
        ...

    def states(self, ids_BL: torch.Tensor) -> torch.Tensor:
        """States B L D, differentiable."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class States:
    """The states of some prompts, and where each ends."""

    h_BLD: torch.Tensor
    end_B: torch.Tensor

    def at_end(self) -> torch.Tensor:
        """The end token's states, B D."""
        return self.h_BLD[torch.arange(len(self.h_BLD), device=self.h_BLD.device), self.end_B]

    def content(self) -> torch.Tensor:
        """True at the words, B L: after the first position and before the end."""
        place_L = torch.arange(self.h_BLD.shape[1], device=self.h_BLD.device)
        return (place_L > 0) & (place_L < self.end_B[:, None])

    def padding(self) -> torch.Tensor:
        """True after the end token, B L."""
        return torch.arange(self.h_BLD.shape[1], device=self.h_BLD.device) > self.end_B[:, None]


def states_of(encoder: Encoder, prompts: Sequence[str], *, whole: bool = True) -> States:
    """Encode with gradient.

    Args:
        whole: False leaves out the padding: the states before it do not depend on it, since each position sees only those before it.
    """
    ids_BL = encoder.ids(prompts)
    end_B = encoder.ends(ids_BL)
    if not whole:
        ids_BL = ids_BL[:, : int(end_B.max()) + 1]
    h_BLD = encoder.states(ids_BL).float()
    return States(h_BLD=h_BLD, end_B=end_B.to(h_BLD.device))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much the teacher's states vary from prompt to prompt: the unit of each error."""

    projected: float
    """Mean variance of the projected end states."""
    places_L: torch.Tensor
    """Mean variance of the states at each position; of the words, the overall one."""
    start: float
    """Mean square of the first state, a constant."""


@torch.no_grad()
def scale_of(teacher: States, projection_PD: torch.Tensor) -> Scale:
    """Measured over a sample of prompts.

    A position that is padding in few of them takes the unit of all padding, and none goes below a tenth of it.
    """
    h_BLD, pad_BL = teacher.h_BLD, teacher.padding()
    count_L1 = pad_BL.sum(0)[:, None]
    mean_LD = (h_BLD * pad_BL[:, :, None]).sum(0) / count_L1.clamp(min=1)
    spread_L = ((h_BLD - mean_LD).square() * pad_BL[:, :, None]).sum((0, 2)) / (count_L1[:, 0].clamp(min=1) * h_BLD.shape[2])
    usual = float(spread_L[count_L1[:, 0] > len(h_BLD) // 2].mean()) if (count_L1 > len(h_BLD) // 2).any() else float(h_BLD.var(0).mean())
    places_L = torch.where(count_L1[:, 0] > 8, spread_L, usual).clamp(min=0.1 * usual)
    projected = (teacher.at_end() @ projection_PD.T).var(0).mean()
    return Scale(projected=float(projected), places_L=places_L, start=float(h_BLD[:, 0].square().mean()))


def text_losses(student: States, english: States | None, teacher: States, projection_PD: torch.Tensor, scale: Scale) -> dict[str, torch.Tensor]:
    """The four terms of A0, each in units of the teacher's own variance: 1 is what a student that says nothing in particular pays.

    eos: |P h_S(x_ko) - P h_T(x_en)|^2, and the same of the English side (Reimers and Gurevych 2020, arXiv:2004.09813, eq. 1, with P frozen);
    pads: |h_S_j - h_T_j|^2 where both are past their end; content: transport between the words' states; start: |h_S_0 - h_T_0|^2.

    Args:
        student: of the Korean side, whole. english: of the English side through the student; None leaves it out.
        teacher: of the English side, whole.
    """
    target_BP = teacher.at_end() @ projection_PD.T
    sides = [student] if english is None else [student, english]
    eos = sum(((side.at_end() @ projection_PD.T - target_BP).square().mean() for side in sides), torch.zeros(())) / scale.projected
    both_BL = student.padding() & teacher.padding()
    error_BL = (student.h_BLD - teacher.h_BLD).square().mean(2) / scale.places_L
    pads = (error_BL * both_BL).sum() / both_BL.sum().clamp(min=1)
    return {
        "eos": eos,
        "pads": pads,
        "content": _content(student, teacher),
        "start": (student.h_BLD[:1, 0] - teacher.h_BLD[:1, 0]).square().mean() / scale.start,
    }


def _content(student: States, teacher: States) -> torch.Tensor:
    a_BL, b_BL = student.content(), teacher.content()
    # Only as far as the longest sentence: most of 77 positions are padding.
    n, m = int(student.end_B.max()), int(teacher.end_B.max())
    return transport_cost(student.h_BLD[:, 1:n], teacher.h_BLD[:, 1:m], a_BL[:, 1:n], b_BL[:, 1:m]).mean()


def weighted(losses: dict[str, torch.Tensor], stage: TextStage) -> torch.Tensor:
    """The sum, by the weights of a recipe."""
    return stage.eos * losses["eos"] + stage.pads * losses["pads"] + stage.content * losses["content"] + stage.start * losses["start"]
