"""CrewAI: its quickstart's flow, with one agent in a crew."""

from tests.frameworks.framework import Framework, Program

FLOW = """
from pydantic import BaseModel

from crewai import Agent, Crew, Process, Task
from crewai.flow import Flow, listen, start


class ResearchFlowState(BaseModel):
    topic: str = ""
    report: str = ""


class LatestAiFlow(Flow[ResearchFlowState]):
    @start()
    def prepare_topic(self):
        self.state.topic = "AI Agents"
        print(f"Topic: {self.state.topic}")

    @listen(prepare_topic)
    def run_research(self):
        researcher = Agent(
            role="{topic} Senior Data Researcher",
            goal="Uncover cutting-edge developments in {topic}",
            backstory="You're a seasoned researcher with a knack for uncovering the latest"
            " developments in {topic}.",
            max_retry_limit=0,  # governed
            verbose=True,
        )
        research_task = Task(
            description="Conduct thorough research about {topic}. The current year is 2026.",
            expected_output="A markdown report with clear sections: key trends, notable tools or"
            " companies, and implications.",
            agent=researcher,
        )
        crew = Crew(
            agents=[researcher],
            tasks=[research_task],
            process=Process.sequential,
            verbose=True,
        )
        result = crew.kickoff(inputs={"topic": self.state.topic})
        self.state.report = result.raw
        print("Research crew finished.")

    @listen(run_research)
    def summarize(self):
        print(self.state.report)


with governor:  # governed
LatestAiFlow().kickoff()
# end
"""

FRAMEWORK = Framework(
    "CrewAI",
    "crewai",
    (
        Program(
            "flow with a crew",
            "https://docs.crewai.com/en/quickstart",
            ("crewai",),
            ("api.openai.com",),
            FLOW,
            environment={"CREWAI_DISABLE_TELEMETRY": "true", "OTEL_SDK_DISABLED": "true"},
            notes="What the quickstart has in YAML files stands in the program, without the search"
            " of the web. An agent of CrewAI's begins its task anew, three times in all, after"
            " whatever error; `max_retry_limit=0` has it do so once.",
        ),
    ),
)
